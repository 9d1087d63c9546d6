/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two appliances and the arbiter's register (docs/pair.md; lib/pair). An entry of a log is epoch * 16 + id; id 0 is the
 * EPOCH record. The arbiter carries out compare-and-swaps late, or never; a node may stop to wait for one at any
 * moment, and does not learn its outcome then. A pause of a node is a process that takes no step.
 *
 * Left open, so that all cases are tried: when records are shipped, become durable and are acknowledged; when a
 * standby suspects its leader, and a leader its standby; when a node crashes and what of its log the crash takes
 * (everything behind what is durable, or a part of it). A leader asks to go solo whenever it likes. A process that
 * restarts claims whatever the register allows: that is more than lib/pair does, which lets the peer go first.
 *
 * Checked in every state: each acknowledged record is durable at whom the register names (in SYNC: at both), and the
 * floor too; one acknowledging node an epoch; whatever leaves a leader (sinks, ledger) is one history; two logs agree
 * where their epochs do; no cut goes below a snapshot; a log that lacks the floor never leads; nothing is swapped in a
 * register that was restored from a copy.
 *
 * Not modelled: liveness, the handshake message by message, engines, clocks, forced promotion, a standby that is
 * filled from a snapshot. tests/sim/sim_pair runs the real code.
 *
 * FLOOR, SNAPSHOTS, DISKS and RESTORE add what their names say. The names behind `canary` below plant faults.
 */
#ifndef EPMAX
#define EPMAX 3
#endif
#ifndef RECS
#define RECS 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef DISKS
#define DISKS 0 /* crashes that leave an old state of the disk */
#endif
#ifndef REVMAX
#define REVMAX 3 /* revisions at which a leader may still publish; the first is 1 */
#endif
#define N  (EPMAX + RECS)
#define NQ 2 /* swaps under way */

/* role */
#define IDLE   0
#define STBY   1
#define TAKING 2
#define LEAD   3
/* mode of a leader */
#define SOLO 0
#define JOIN 1
#define SYNC 2
/* kind of a swap */
#define PUBLISH 1
#define CLAIM   2

typedef Log { byte e[N] };
typedef Cas { bit used; bit live; bit who; byte xrev; byte nep; bit nsync; byte nfl };

Log log[2];
byte ln[2], dur[2];                             /* durable: log[..dur) */
byte role[2], ep[2], mode[2], pdur[2], cw[2];   /* cw: commit watermark */
byte mark[2];                                   /* a join waits until the peer is durable up to it */
bit tried[2];                                   /* the swap to SYNC was sent once */
bit wait[2];
byte rep[2], kind[2], nep[2];
bit conn;
byte rRev, rEp, rFl;                            /* the register; rFl: the floor */
bit rLd, rSync;
Cas q[NQ];
byte crashes, disks, nextid, acked, hist[N], hlen, by[EPMAX + 1];
#ifdef SNAPSHOTS
byte snap[2];                                   /* records in the newest snapshot */
#endif
#if DISKS
byte safe;                                      /* acknowledged records up to the floor */
#endif
#ifdef RESTORE
byte seen[2];                                   /* highest revision that a node knows, on its disk */
byte bRev, bEp, bFl;                            /* the copy */
bit bLd, bSync, restored;
#endif

inline mask(n, m) { m = 0; i = 0;
  do :: i < dur[n] -> if :: (log[n].e[i] & 15) -> m = m | (1 << (log[n].e[i] & 15)) :: else fi; i++ :: else -> break od }

inline check() {
#if DISKS
  if :: disks == 0 ->
#endif
#ifdef RESTORE
  if :: !restored ->
#endif
  mask(rLd, k); assert((acked & k) == acked); assert(dur[rLd] >= rFl);
  if :: rSync -> mask(1 - rLd, k); assert((acked & k) == acked); assert(dur[1 - rLd] >= rFl) :: else fi; k = 0; i = 0
#ifdef RESTORE
  :: else fi
#endif
#if DISKS
  :: else fi
#endif
}

inline forget(n) { /* a process ends */
  i = 0; do :: i < NQ -> if :: q[i].used && q[i].who == n -> q[i].live = 0 :: else fi; i++ :: else -> break od; i = 0;
  role[n] = IDLE; ep[n] = 0; mode[n] = 0; pdur[n] = 0; cw[n] = 0; tried[n] = 0; wait[n] = 0; rep[n] = 0;
  kind[n] = 0; nep[n] = 0; mark[n] = 0; conn = 0 }

#define SLOT (!q[0].used || !q[1].used)
#ifdef RESTORE
#ifdef NO_MEMORY /* canary: a node forgets which revisions it has seen */
#define GENUINE(n) true
#else
#define GENUINE(n) (rRev >= seen[n])
#endif
#define SEE(n, rev) seen[n] = rev
#else
#define GENUINE(n) true
#define SEE(n, rev) skip
#endif

inline ask(n, e, s, fl, kd) { /* it has just read the register; now it swaps */
  SEE(n, rRev);
  i = 0; do :: q[i].used -> i++ :: else -> break od;
  q[i].used = 1; q[i].live = 1; q[i].who = n; q[i].xrev = rRev; q[i].nep = e; q[i].nsync = s; q[i].nfl = fl;
  wait[n] = 1; rep[n] = 0; kind[n] = kd; nep[n] = e; i = 0 }

inline clean(j) {
  q[j].used = 0; q[j].live = 0; q[j].who = 0; q[j].xrev = 0; q[j].nep = 0; q[j].nsync = 0; q[j].nfl = 0 }

inline lead(n) { /* the claim was won */
  role[n] = LEAD; ep[n] = nep[n]; mode[n] = SOLO; pdur[n] = 0; tried[n] = 0; mark[n] = 0; conn = 0;
#if DISKS
  mask(n, k); assert((safe & k) == safe); k = 0; i = 0;
#endif
  log[n].e[ln[n]] = ep[n] << 4; ln[n]++ }

#ifdef NO_FLOOR /* canary: a log that lacks the floor may lead */
#define REACHES(n) true
#else
#define REACHES(n) (dur[n] >= rFl)
#endif
#ifdef TAKE_SOLO /* canary: a node takes over from a leader that may have acknowledged alone */
#define NAMED(n) true
#else
#define NAMED(n) (rLd == n || rSync)
#endif
#ifdef ACK_VOLATILE /* canary: the standby acknowledges what it has not on disk */
#define TOLD(n) ln[n]
#else
#define TOLD(n) dur[n]
#endif
#ifdef JOIN_CW /* canary: publishes before everything that is durable here is there */
#define MARK(n) cw[n]
#else
#define MARK(n) dur[n]
#endif
#ifdef SNAP_DURABLE /* canary: a snapshot of what is durable, not of what is committed */
#define STATE(n) dur[n]
#else
#define STATE(n) cw[n]
#endif
#if DISKS /* what a lost disk had acknowledged behind the floor is lost, and history with it */
#define SAME_DISK (disks == 0)
#else
#define SAME_DISK 1
#endif
#define FOLLOWS(n) (conn && role[1 - n] == LEAD && ep[1 - n] == ep[n])

proctype Node(bit me) { byte i, k, w; bit o = 1 - me;
 end: do
  /* ---- leader */
  :: d_step { role[me] == LEAD && nextid <= RECS && ln[me] + (EPMAX - ep[me]) < N ->
       log[me].e[ln[me]] = (ep[me] << 4) + nextid; nextid++; ln[me]++ }
  :: d_step { dur[me] < ln[me] -> dur[me] = ln[me] }
  :: d_step { role[me] == LEAD && dur[me] > cw[me] && (mode[me] == SOLO || pdur[me] > cw[me]) ->
       w = dur[me]; if :: mode[me] != SOLO && pdur[me] < w -> w = pdur[me] :: else fi;
       i = 0; do :: i < w ->
         if :: i < hlen -> assert(!SAME_DISK || hist[i] == log[me].e[i])
            :: else -> hist[i] = log[me].e[i]; hlen++ fi;
         k = log[me].e[i] & 15;
         if :: k && !(acked & (1 << k)) -> acked = acked | (1 << k);
               assert(by[ep[me]] == 0 || by[ep[me]] == me + 1); by[ep[me]] = me + 1 :: else fi;
         i++ :: else -> break od;
       cw[me] = w; check(); w = 0 }
#ifdef FLOOR
  :: d_step { role[me] == LEAD && rLd == me && rEp == ep[me] && rFl < cw[me] && GENUINE(me) -> rFl = cw[me];
#if DISKS
       safe = acked;
#endif
       check() }
#endif
  :: d_step { role[me] == LEAD && mode[me] == SOLO && !wait[me] && role[o] == STBY && ep[o] == ep[me] && conn ->
       mode[me] = JOIN; tried[me] = 0; mark[me] = MARK(me) }
  :: d_step { role[me] == LEAD && mode[me] == JOIN && !wait[me] && SLOT && pdur[me] >= mark[me] && rLd == me &&
       rEp == ep[me] && rRev < REVMAX && GENUINE(me) -> ask(me, ep[me], 1, rFl, PUBLISH); tried[me] = 1 }
  :: d_step { role[me] == LEAD && mode[me] == JOIN && !tried[me] -> mode[me] = SOLO; pdur[me] = 0; mark[me] = 0 }
#ifdef READ_NOT_CAS /* canary: takes a read for the outcome of a swap */
  :: d_step { role[me] == LEAD && mode[me] == JOIN && tried[me] && !wait[me] && rLd == me && rEp == ep[me] && !rSync ->
       mode[me] = SOLO; tried[me] = 0; pdur[me] = 0 }
#endif
  :: d_step { role[me] == LEAD && (mode[me] == SYNC || (mode[me] == JOIN && tried[me])) && !wait[me] && SLOT &&
       rLd == me && rEp < EPMAX && GENUINE(me) -> ask(me, rEp + 1, 0, dur[me], CLAIM);
#ifdef ACK_FIRST /* canary: acknowledges alone before the swap to SOLO has succeeded */
       mode[me] = SOLO
#endif
     }
  :: d_step { role[me] == LEAD && rLd != me -> forget(me) }          /* learns that it is deposed: ends */
  /* ---- answers of the arbiter; or it waits no longer */
  :: d_step { rep[me] == 1 -> rep[me] = 0; wait[me] = 0;
       if :: kind[me] == PUBLISH && role[me] == LEAD -> mode[me] = SYNC
          :: kind[me] == CLAIM -> lead(me)
          :: else fi; kind[me] = 0; nep[me] = 0 }
  :: d_step { rep[me] == 2 -> rep[me] = 0; wait[me] = 0; kind[me] = 0; nep[me] = 0 }
  :: d_step { wait[me] -> i = 0; do :: i < NQ -> if :: q[i].used && q[i].who == me -> q[i].live = 0 :: else fi; i++ :: else -> break od;
       i = 0; wait[me] = 0; rep[me] = 0; kind[me] = 0; nep[me] = 0 }
  /* ---- standby */
  :: d_step { role[me] == STBY && FOLLOWS(me) && ln[me] < ln[o] -> log[me].e[ln[me]] = log[o].e[ln[me]]; ln[me]++ }
  :: d_step { role[me] == STBY && FOLLOWS(me) && pdur[o] < TOLD(me) -> pdur[o] = TOLD(me) }
  :: d_step { role[me] == STBY -> role[me] = IDLE; ep[me] = 0; conn = 0 }
  :: d_step { (role[me] == STBY || role[me] == IDLE || role[me] == TAKING) && !wait[me] && SLOT && rEp < EPMAX &&
       REACHES(me) && NAMED(me) && GENUINE(me) ->
       conn = 0;
       role[me] = TAKING; ask(me, rEp + 1, 0, dur[me], CLAIM) }
  /* the swap is lost, or unknown: it may follow the same epoch again, for a new swap comes before it leads */
  :: d_step { role[me] == TAKING && !wait[me] -> role[me] = IDLE; ep[me] = 0; conn = 0 }
  /* ---- join, rejoin: the last common record by epoch */
  :: d_step { role[me] == IDLE && role[o] == LEAD && (ln[me] == 0 || ep[o] >= (log[me].e[ln[me] - 1] >> 4)) ->
       i = 0;
#ifdef TRUNC_SEQ /* canary: cuts by sequence */
       i = (ln[me] < ln[o] -> ln[me] : ln[o]);
#else
       do :: i < ln[me] && i < ln[o] && (log[me].e[i] >> 4) == (log[o].e[i] >> 4) ->
             assert(log[me].e[i] == log[o].e[i]);
             i++ :: else -> break od;
#endif
       w = i;
#ifdef SNAPSHOTS
       assert(snap[me] <= w);
#endif
       do :: i < ln[me] -> log[me].e[i] = 0; i++ :: else -> break od;
       ln[me] = w; if :: dur[me] > w -> dur[me] = w :: else fi;
       role[me] = STBY; ep[me] = ep[o]; conn = 1; w = 0; i = 0; check() }
#ifdef SNAPSHOTS
  :: d_step { role[me] == LEAD && snap[me] < STATE(me) -> snap[me] = STATE(me) }
#endif
  /* ---- crash and restart */
  :: atomic { crashes < CRASHES -> crashes++;
       do :: ln[me] > dur[me] -> ln[me]--; log[me].e[ln[me]] = 0 :: break od;
       d_step { dur[me] = ln[me]; forget(me); check() } }
#if DISKS
  :: atomic { disks < DISKS && rLd == me && !rSync -> disks++;       /* an old image, or an empty disk */
       do :: ln[me] > 0 -> ln[me]--; log[me].e[ln[me]] = 0 :: break od;
       d_step { dur[me] = ln[me]; forget(me) } }
#endif
#ifdef RESUME_SYNC /* canary: a process leads under the epoch of the process before */
  :: d_step { role[me] == IDLE && rLd == me && rSync && !wait[me] -> role[me] = LEAD; ep[me] = rEp; mode[me] = SYNC }
#endif
#ifdef RESUME_SOLO
  :: d_step { role[me] == IDLE && rLd == me && !rSync && !wait[me] -> role[me] = LEAD; ep[me] = rEp; mode[me] = SOLO }
#endif
 od }

proctype Etcd() { byte i, k, j;
 end: do
  :: atomic { q[0].used || q[1].used ->
       if :: q[0].used -> j = 0 :: q[1].used -> j = 1 fi;
       if
       :: d_step { if :: q[j].xrev == rRev -> rRev++; rEp = q[j].nep; rLd = q[j].who; rSync = q[j].nsync;
                         if :: q[j].nfl > rFl -> rFl = q[j].nfl :: else fi;
#ifdef RESTORE
                         assert(!restored);
#endif
                         if :: q[j].live -> rep[q[j].who] = 1; SEE(q[j].who, rRev) :: else fi
                      :: else -> if :: q[j].live -> rep[q[j].who] = 2 :: else fi fi;
                   clean(j);
                   /* a swap that can neither succeed nor be heard of is forgotten, to have fewer states */
                   i = 0; do :: i < NQ -> if :: q[i].used && !q[i].live && q[i].xrev != rRev -> clean(i) :: else fi;
                       i++ :: else -> break od;
                   i = 0; check(); j = 0 }
       :: d_step { !q[j].live -> clean(j); j = 0 } /* lost */
       fi }
#ifdef RESTORE
  :: d_step { bRev == 0 -> bRev = rRev; bEp = rEp; bLd = rLd; bSync = rSync; bFl = rFl }
  :: d_step { bRev && !restored && seen[0] > bRev && seen[1] > bRev -> restored = 1;
       rRev = bRev; rEp = bEp; rLd = bLd; rSync = bSync; rFl = bFl; clean(0); clean(1) }
#endif
 od }

init { d_step { rRev = 1; rEp = 1; rLd = 0; rSync = 1; rFl = 1; nextid = 1;
  log[0].e[0] = 16; log[1].e[0] = 16; ln[0] = 1; ln[1] = 1; dur[0] = 1; dur[1] = 1;
  role[0] = LEAD; ep[0] = 1; mode[0] = SYNC; pdur[0] = 1; role[1] = STBY; ep[1] = 1; conn = 1 }
  atomic { run Node(0); run Node(1); run Etcd() } }

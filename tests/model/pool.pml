/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool of one item and its members (docs/fleet.md; lib/fleet). A transaction compares the
 * pool's revision and the register of its member, so the first that takes place makes all others
 * that were sent before it fail: here they vanish. One of unknown outcome may take place at any
 * later time. A member never uses the outcome of a transaction: it reads the pool and compares it
 * with its log.
 *
 * Left open, so that all cases are tried: when transactions take place, when records are committed,
 * what is asked for, which orders are cancelled, when a member crashes, or is taken over from.
 *
 * Checked: no unit is sold twice; the pool is ahead of a log by one lease at most, and behind it by
 * one return at most; SOLD_OUT is decided only when nothing is free but what came back after its
 * member said that it was empty; only the oldest demand is served; in the end all who asked are
 * answered, and nothing is free in a pool that says SOLD_OUT.
 *
 * CRASHES, TAKES (a standby takes over), LOSSES (a member that never comes back), RETIRES,
 * REMOVALS and RESTORES are how often each may happen. The names behind `canary` plant faults.
 */
#ifndef POOL
#define POOL 2 /* units in the pool */
#endif
#ifndef HERE
#define HERE 0 /* units that each of the first two members holds */
#endif
#ifndef M
#define M 2
#endif
#ifndef ASKS
#define ASKS 1 /* of each member */
#endif
#ifndef LARGEST
#define LARGEST 2
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef UNKNOWNS
#define UNKNOWNS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef TAKES
#define TAKES 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef RETIRES
#define RETIRES 0
#endif
#ifndef REMOVALS
#define REMOVALS 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif

#define TOTAL (POOL + 2 * HERE)

/* kinds of transactions */
#define NONE  0
#define LEASE 1
#define GIVE  2 /* the counters of the log, and "I am empty" */
#define ENTER 3
#define LEAVE 4
#define OVER  5 /* SOLD_OUT, or too few for this demand */
#define DROP  6 /* the oldest demand is of a member that is silent */

/* the pool */
byte free, number = 1;
bit soldout;
byte leased[M], returned[M], waits[M], said[M], leases[M], returns[M];

/* a member's log: committed, and written but not committed (0 = nothing) */
byte stock[M], log_leased[M], new_leased[M], log_returned[M], new_returned[M];
byte log_leases[M], log_returns[M];
byte sold[M], selling[M], gone[M]; /* gone: removed from the sale */

/* a member */
byte bank[M], ask[M], asks[M], recalled[M];
bit up[M], lost[M], retired[M], removing[M];

/* transactions: the one that is waited for, and one of unknown outcome */
byte kind[M], units[M], ack[M], kind2[M], units2[M], ack2[M];
#ifdef AS_ASKED
byte asked[M];
#endif
#ifdef BY_DIFFERENCE
byte again[M];
#endif

byte cancels, unknowns, crashes, takes, losses, retires, removals, removed;
byte loose[M], loose2[M]; /* units that came back since the pool's "empty", and since the recall */
bit deposed[M];

#if RESTORES
byte copy_free, copy_leased[M], copy_returned[M], copy_leases[M], copy_returns[M];
bit copied, restored, saw[M]; /* saw: a pool that is newer than the copy */
#ifdef NO_MEMORY /* canary: a member forgets which revisions it has seen */
#define GENUINE(m) true
#else
#define GENUINE(m) (!restored || !saw[m])
#endif
#define NEWER(m) saw[m] = copied && !restored || saw[m]
#else
#define GENUINE(m) true
#define NEWER(m) skip
#endif

/* ---- what must hold -------------------------------------------------------------------------- */

#define others(m) ((m + 1) % M)
#define third(m)  ((m + 2) % M)
#define in_step(m) (leased[m] == log_leased[m] && new_leased[m] == 0 && new_returned[m] == 0)
#define held(m) (stock[m] + log_leased[m] - log_returned[m] - gone[m])
#define free_at(m) (bank[m] + leased[m] - log_leased[m] + log_returned[m] - returned[m] + \
                    (new_returned[m] -> new_returned[m] - log_returned[m] : 0))

inline check_units() {
  i = 0; k = 0;
  do :: i < M -> k = k + sold[i] + selling[i]; i++ :: else -> break od;
  assert(k + removed <= TOTAL);
  i = 0; k = 0 }

inline check_nothing_free() {
  assert(free == 0);
  i = 0;
  do :: i < M -> assert(retired[i] || free_at(i) <= loose[i]); i++
     :: else -> break od;
  i = 0 }

/* ---- transactions ---------------------------------------------------------------------------- */

inline vanish(m) { kind[m] = 0; units[m] = 0; ack[m] = 0 }
inline vanish2(m) { kind2[m] = 0; units2[m] = 0; ack2[m] = 0 }

inline vanish_all() {
#ifndef NO_REVISION /* canary: a transaction does not compare the pool's revision */
  i = 0; do :: i < M -> vanish(i); vanish2(i); i++ :: else -> break od; i = 0
#else
  vanish(m)
#endif
}

inline leave_all() { i = 0; do :: i < M -> waits[i] = 0; i++ :: else -> break od; i = 0 }

/* It takes place. */
inline apply(m, kd, n, e) {
  if
  :: kd == LEASE ->
     assert(free >= n);
     assert((waits[others(m)] == 0 || waits[m] && waits[m] < waits[others(m)]) || lost[others(m)]);
     free = free - n; leased[m] = leased[m] + n; leases[m]++; waits[m] = 0;
#ifndef KEEPS_EMPTY /* canary: a member that leased still counts as empty */
     said[m] = 0;
#endif
     assert(leases[m] <= log_leases[m] + 1)
  :: kd == GIVE ->
#ifdef BY_DIFFERENCE /* canary: a return adds units, instead of setting the number */
     free = free + n; if :: n -> returned[m] = returned[m] + n; returns[m]++ :: else fi;
#else
     free = free + n - returned[m];
     if :: n != returned[m] -> returned[m] = n; returns[m]++ :: else fi;
#endif
#ifndef NOT_OPENED /* canary: units come back to a pool that stays SOLD_OUT */
     if :: free -> soldout = 0 :: else fi;
#endif
     if :: e -> said[m] = e; loose[m] = loose2[m] :: else fi
  :: kd == ENTER -> waits[m] = number; number++
  :: kd == LEAVE -> waits[m] = 0
  :: kd == OVER ->
     if
     :: free == 0 -> check_nothing_free(); soldout = 1; leave_all()
     :: else -> waits[m] = 0; ask[m] = 0
     fi
  :: kd == DROP -> waits[others(m)] = 0
  fi;
#if RESTORES
  assert(!restored);
#endif
  NEWER(m) }

inline send(m, kd, n, e) { kind[m] = kd; units[m] = n; ack[m] = e;
#ifdef AS_ASKED
  if :: kd == LEASE -> asked[m] = n :: else fi;
#endif
  skip }

/* ---- decisions of a member, by the pool as it is --------------------------------------------- */

#define someone_waits (waits[0] || waits[1] || (M > 2 && waits[M - 1]))
#define scarce (someone_waits || soldout)
#define oldest(m) (waits[m] && (!waits[others(m)] || waits[m] < waits[others(m)]) && \
                   (!waits[third(m)] || waits[m] <= waits[third(m)]))
#ifdef ANY_TURN /* canary: a demand that is not the oldest is served */
#define my_turn(m) true
#else
#define my_turn(m) (oldest(m) || !someone_waits)
#endif
#define missing(m) (ask[m] - bank[m])
#define wants(m) (ask[m] > bank[m])
#define demand_of(m) (waits[m] -> ask[m] : 0)
#define demanded(m) (demand_of(others(m)) + (third(m) == m -> 0 : demand_of(third(m))))
#define said_empty(m, d) (said[m] > d || retired[m])
#ifdef SILENT_IS_EMPTY /* canary: a silent member is taken for an empty one */
#define all_empty(m) (said_empty(m, waits[m]) && (said_empty(others(m), waits[m]) || !up[others(m)]) && \
                      said_empty(third(m), waits[m]))
#else
#ifdef NOT_ASKED /* canary: SOLD_OUT when the pool is empty */
#define all_empty(m) true
#else
#define all_empty(m) (said_empty(m, waits[m]) && said_empty(others(m), waits[m]) && said_empty(third(m), waits[m]))
#endif
#endif
#ifdef ADDS_TO_PARTS /* canary: a demand takes what it lacks beside what it holds, and may have to give back */
#define whole(m) true
#else
#define whole(m) (!someone_waits || bank[m] == 0)
#endif
#define silent(m) (!up[m] && !retired[m])

/* Whole requests are served first; then everything that is free is given back. */
#ifdef KEEPS_PARTS /* canary: a member that waits keeps what it holds */
#define gives(m) (bank[m] == 0 || !wants(m))
#else
#define gives(m) true
#endif
#define must_recall(m) (scarce && in_step(m) && !(ask[m] && bank[m] >= ask[m]) && gives(m) && \
                        (bank[m] || someone_waits && recalled[m] < number && said[m] < number))

#ifdef EMPTY_TOO_EARLY /* canary: "empty" while orders are not committed */
#define all_committed(m) true
#else
#define all_committed(m) (selling[m] == 0)
#endif

inline forget(m) { /* the process ends: what was not committed is gone */
  bank[m] = bank[m] + selling[m] + (new_returned[m] -> new_returned[m] - log_returned[m] : 0);
  selling[m] = 0; new_returned[m] = 0; new_leased[m] = 0; recalled[m] = 0; loose2[m] = loose[m]; ask[m] = 0; removing[m] = 0;
#ifdef SOLD_BEFORE_LEASE
  bank[m] = (stock[m] + log_leased[m] - log_returned[m] > sold[m] ->
             stock[m] + log_leased[m] - log_returned[m] - sold[m] : 0);
#endif
  deposed[m] = 0 }

inline claim(m) { /* the register moves: no transaction of before takes place */
#ifndef NO_REGISTER /* canary: the register is not compared */
  vanish2(m);
#endif
  skip }

#if RESTORES
inline save() {
  copied = 1; copy_free = free; i = 0;
  do :: i < M -> copy_leased[i] = leased[i]; copy_returned[i] = returned[i]; copy_leases[i] = leases[i];
     copy_returns[i] = returns[i]; i++ :: else -> break od; i = 0 }
inline restore() {
  restored = 1; free = copy_free; soldout = 0; i = 0;
  do :: i < M -> leased[i] = copy_leased[i]; returned[i] = copy_returned[i]; leases[i] = copy_leases[i];
     returns[i] = copy_returns[i]; waits[i] = 0; said[i] = 0; vanish(i); vanish2(i); i++ :: else -> break od; i = 0 }
#endif

proctype member(byte m) {
  byte i, k;
end:
  do
  /* customers */
  :: atomic { up[m] && ask[m] == 0 && asks[m] < ASKS ->
       if :: ask[m] = 1 :: LARGEST > 1 -> ask[m] = 2 :: LARGEST > 2 -> ask[m] = 3 fi;
       asks[m]++;
       if :: removals < REMOVALS -> removals++; removing[m] = 1 :: true fi }
  :: atomic { up[m] && ask[m] && bank[m] >= ask[m] ->
       bank[m] = bank[m] - ask[m];
       if :: removing[m] -> removing[m] = 0; gone[m] = gone[m] + ask[m]; removed = removed + ask[m]
          :: else -> if :: CRASHES + TAKES -> selling[m] = selling[m] + ask[m] :: else -> sold[m] = sold[m] + ask[m] fi fi;
       ask[m] = 0; check_units() }
  :: atomic { selling[m] && up[m] -> sold[m] = sold[m] + selling[m]; selling[m] = 0;
       assert(sold[m] <= held(m)) }
  :: atomic { up[m] && sold[m] && cancels < CANCELS ->
       cancels++; sold[m]--; bank[m]++; loose[m]++; loose2[m]++ }
  :: atomic { up[m] && wants(m) && soldout && GENUINE(m) -> ask[m] = 0; removing[m] = 0 } /* told SOLD_OUT */
  :: atomic { up[m] && wants(m) && waits[m] && (silent(others(m)) && said[others(m)] <= waits[m]) && free < missing(m) ->
       ask[m] = 0; removing[m] = 0 } /* BUSY, come again */

  /* the log */
#if RESTORES
  :: atomic { up[m] && leased[m] > log_leased[m] && new_leased[m] == 0 && GENUINE(m) ->
#else
  :: atomic { up[m] && leased[m] > log_leased[m] && new_leased[m] == 0 ->
#endif
       assert(leases[m] == log_leases[m] + 1); NEWER(m);
#ifdef AS_ASKED /* canary: the lease of the record is what was asked for last */
       new_leased[m] = log_leased[m] + asked[m];
#else
       new_leased[m] = leased[m];
#endif
#ifdef SOLD_BEFORE_LEASE /* canary: leased units are sold before LEASE is committed */
       bank[m] = bank[m] + new_leased[m] - log_leased[m];
#endif
#ifndef KEEPS_EMPTY
       recalled[m] = 0;
#endif
       assert(new_leased[m] == leased[m]) }
  :: atomic { up[m] && new_leased[m] ->
#ifndef SOLD_BEFORE_LEASE
       bank[m] = bank[m] + new_leased[m] - log_leased[m];
#endif
       log_leased[m] = new_leased[m]; log_leases[m]++; new_leased[m] = 0 }
  :: atomic { up[m] && must_recall(m) && GENUINE(m) && log_returned[m] == returned[m] ->
       if :: bank[m] ->
             new_returned[m] = log_returned[m] + bank[m]
          :: else fi;
       recalled[m] = (someone_waits -> number : 0); bank[m] = 0;
       if :: ack[m] || ack2[m] :: else -> loose2[m] = 0 fi; NEWER(m) }
  :: atomic { up[m] && new_returned[m] -> log_returned[m] = new_returned[m]; log_returns[m]++; new_returned[m] = 0;
       assert(sold[m] <= held(m)) }

  /* transactions are sent */
#ifdef RETURN_FIRST /* canary: units are given to the pool before RETURN is committed */
  :: atomic { up[m] && !kind[m] && new_returned[m] && returned[m] < new_returned[m] ->
       send(m, GIVE, new_returned[m], 0) }
#endif
#ifdef BY_DIFFERENCE
  :: atomic { up[m] && !kind[m] && again[m] -> send(m, GIVE, again[m], 0); again[m] = 0 }
  :: atomic { up[m] && !kind[m] && !again[m] && in_step(m) && all_committed(m) &&
              (log_returned[m] != returned[m] || recalled[m] > said[m]) ->
       send(m, GIVE, log_returned[m] - returned[m], recalled[m]) }
#else
  :: atomic { up[m] && !kind[m] && GENUINE(m) && (in_step(m) && all_committed(m) &&
              (log_returned[m] != returned[m] || recalled[m] > said[m])) ->
       assert(log_returned[m] > returned[m] || log_returned[m] == returned[m] || RESTORES);
       send(m, GIVE, log_returned[m], recalled[m]) }
#endif
  :: atomic { up[m] && !kind[m] && GENUINE(m) && in_step(m) && wants(m) && !soldout && my_turn(m) && whole(m) && free >= missing(m) ->
       if :: send(m, LEASE, missing(m), 0)
          :: !someone_waits && free > missing(m) -> send(m, LEASE, missing(m) + 1, 0) /* some more */
          :: someone_waits && free > missing(m) + demanded(m) -> send(m, LEASE, missing(m) + 1, 0) /* of its queue */
       fi }
  :: atomic { up[m] && !kind[m] && GENUINE(m) && in_step(m) && wants(m) && !soldout && !waits[m] &&
              (free < missing(m) || someone_waits) -> send(m, ENTER, 0, 0) }
  :: atomic { up[m] && !kind[m] && GENUINE(m) && waits[m] && !wants(m) -> send(m, LEAVE, 0, 0) }
  :: atomic { up[m] && !kind[m] && GENUINE(m) && wants(m) && oldest(m) && free < missing(m) && all_empty(m) &&
              in_step(m) -> send(m, OVER, 0, 0) }
  :: atomic { up[m] && !kind[m] && waits[others(m)] && silent(others(m)) && wants(m) -> send(m, DROP, 0, 0) }

  /* they take place, or their outcome is unknown, or they never do */
  :: atomic { kind[m] -> apply(m, kind[m], units[m], ack[m]); vanish_all() }
  :: atomic { kind[m] && !kind2[m] && unknowns < UNKNOWNS ->
       unknowns++; kind2[m] = kind[m]; units2[m] = units[m]; ack2[m] = ack[m];
#ifdef BY_DIFFERENCE
       again[m] = (kind[m] == GIVE -> units[m] : 0);
#endif
       vanish(m) }
  :: atomic { kind2[m] -> apply(m, kind2[m], units2[m], ack2[m]); vanish2(m); vanish_all() }
  :: atomic { kind2[m] -> vanish2(m) }

  /* faults */
#if CRASHES
  :: atomic { up[m] && crashes < CRASHES -> crashes++; forget(m); up[m] = 0;
       if :: kind[m] -> kind2[m] = kind[m]; units2[m] = units[m]; ack2[m] = ack[m]; vanish(m) :: else fi }
  :: atomic { !up[m] && !lost[m] && !retired[m] -> up[m] = 1; claim(m) }
#endif
#if TAKES
  :: atomic { up[m] && takes < TAKES -> takes++;
       i = (bank[m] == 0 && in_step(m) && selling[m] == 0);
       if :: kind[m] -> kind2[m] = kind[m]; units2[m] = units[m]; ack2[m] = ack[m]; vanish(m) :: else fi;
       forget(m); claim(m);
#ifdef NO_REGISTER
       deposed[m] = i;
#endif
       i = 0 }
#ifdef NO_REGISTER
  :: atomic { deposed[m] && someone_waits && !kind2[m] && said[m] < number -> /* it still runs, and is empty */
       kind2[m] = GIVE; units2[m] = returned[m]; ack2[m] = number; deposed[m] = 0; }
#endif
#endif
#if LOSSES
  :: atomic { up[m] && losses < LOSSES -> losses++; forget(m); up[m] = 0; lost[m] = 1; vanish(m) }
#if RETIRES
#ifdef RETIRED_ALIVE /* canary: retired while it is only cut off */
  :: atomic { !retired[m] && retires < RETIRES && losses == 0 ->
#else
  :: atomic { lost[m] && !retired[m] && retires < RETIRES ->
#endif
       retires++; retired[m] = 1; k = stock[m] + leased[m] - returned[m] - gone[m] - sold[m] - selling[m];
       free = free + k; if :: free -> soldout = 0 :: else fi; waits[m] = 0; said[m] = 0; k = 0;
       vanish_all(); bank[m] = (up[m] -> bank[m] : 0) }
#endif
#endif
#if RESTORES
  :: atomic { m == 0 && !copied -> save() }
  :: atomic { m == 0 && copied && !restored && saw[0] && saw[1] -> restore() }
#endif
  od
}

init {
  byte i, k;
  atomic {
    stock[0] = POOL + HERE; log_returned[0] = POOL; returned[0] = POOL; free = POOL;
    bank[0] = HERE; bank[1] = HERE; stock[1] = HERE;
    do :: i < M -> up[i] = 1; i++ :: else -> break od; i = 0;
    do :: i < M -> run member(i); i++ :: else -> break od; i = 0
  };
  timeout ->
  atomic {
#if RESTORES
    if :: !restored ->
#endif
    do :: i < M ->
       assert(!up[i] || ask[i] == 0);
       if :: up[i] && !retired[i] -> assert(bank[i] + sold[i] == held(i)); k = k + bank[i] :: else fi;
       assert(!soldout || !up[i] || bank[i] == 0);
       i++ :: else -> break od;
    assert(!soldout || free == 0);
    assert(!someone_waits || (losses && LOSSES))
#if RESTORES
    :: else fi
#endif
  }
}

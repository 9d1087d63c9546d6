/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The draw at the opening of one item (docs/waiting.md): the home worker has the line, two workers own the users, each
 * of the three writes its records to the log by a ring of its own. A step of a process is what a worker does between
 * two looks at its rings; steps come in any order that the guards allow.
 *
 * Left open, so that all cases are tried: when each user asks, and whether and when users leave; when the item opens;
 * when a record is written, and so durable; in which order the rings are read. With CRASH=1 the appliance dies once, at
 * any time: the next life knows the log, and no more.
 *
 * Checked at each record: the draw is among exactly those who wait in the log before it; no offer is in the log before
 * the draw. Checked in every state: nobody of those who were drawn has left, and the next one of the draw gets the next
 * offer. When nothing moves any more: whoever waits has a place, and the unit is idle only when nobody waits.
 *
 * CANARY=1..5 plants a fault that one of these checks must find.
 */
#ifndef WAITERS
#define WAITERS 3 /* at most 4 */
#endif
#ifndef LEAVES
#define LEAVES 1 /* of users who wait, all together */
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef CANARY
#define CANARY 0
#endif

#define ROOM 4
#define CAP  6
#define HOME 2

mtype = { NEED, ENTRY, CLOSED, TICKET, CLOSE, PLACE, DRAWN, OFFER, RETURN };
mtype = { NEW, ASKED, WAITS, HELD, LEFT };
mtype = { ARMED, CLOSING, RECORDED, TOLD };

chan up[2] = [CAP] of { mtype, byte };       /* owner -> home: waiter */
chan down[2] = [CAP] of { mtype, byte };     /* home -> owner: waiter */
chan record[3] = [CAP] of { mtype, byte };   /* worker -> log: state of a waiter, or DRAWN and the set */

/* of a waiter, at its owner: worker i % 2 */
mtype state[ROOM] = NEW;
bit placed[ROOM];
byte closing[2]; /* of an owner: 1 = its entries are to be sent, 2 = they were */

/* what the log holds */
mtype kept[ROOM] = NEW;
bit is_drawn;
byte drawn; /* the set */

/* of the home */
mtype phase = ARMED;
byte entries, closed; /* those who were sent, as a set; owners that have sent theirs */
byte late;            /* a set: who came behind */
byte unit = 1;

byte leaves, crashes;

#define in(set, i) ((set) >> (i) & 1)
#define waits_in_log(i) (kept[i] == WAITS -> 1 << (i) : 0)
#define all_waiting (waits_in_log(0) + waits_in_log(1) + waits_in_log(2) + waits_in_log(3))

/* ---- the log ------------------------------------------------------------------------------------------------ */

inline append(w)
{
    record[w]?type, i;
    if
    :: type == DRAWN -> assert(i == all_waiting && !is_drawn); drawn = i; is_drawn = 1
    :: type == HELD -> assert(is_drawn && kept[i] == WAITS); kept[i] = HELD
    :: else -> kept[i] = type
    fi;
    type = 0; i = 0
}

proctype journal()
{
    mtype type;
    byte i;

end:
    do
    :: atomic { nempty(record[0]) -> append(0) }
    :: atomic { nempty(record[1]) -> append(1) }
    :: atomic { nempty(record[HOME]) -> append(HOME) }
    od
}

/* ---- an owner ------------------------------------------------------------------------------------------------ */

inline take_message(w)
{
    down[w]?type, i;
    if
    :: type == TICKET -> assert(state[i] == ASKED); state[i] = WAITS; record[w]!WAITS(i)
    :: type == CLOSE -> closing[w] = 1
    :: type == PLACE -> assert(state[i] == WAITS && closing[w] == 2); placed[i] = 1
    :: type == DRAWN -> closing[w] = 0
    :: type == OFFER ->
        if
        :: state[i] == WAITS -> state[i] = HELD; record[w]!HELD(i)
        :: else -> up[w]!RETURN(i)
        fi
    fi;
    type = 0; i = 0
}

#define on_the_way(w) (state[w] == ASKED || state[w + 2] == ASKED)
#define is_durable(w) (empty(record[w]) || CANARY == 2)

inline send_entries(w)
{
    if
    :: state[w] == WAITS -> up[w]!ENTRY(w)
    :: else
    fi;
    if
    :: state[w + 2] == WAITS -> up[w]!ENTRY(w + 2)
    :: else
    fi;
    up[w]!CLOSED(0);
    closing[w] = 2
}

#define may_leave(i, w) (state[i] == WAITS && leaves < LEAVES && (closing[w] == 0 || CANARY == 3))

#define STEPS(i) \
    :: atomic { i < WAITERS && state[i] == NEW && closing[w] == 0 -> up[w]!NEED(i); state[i] = ASKED } \
    :: atomic { may_leave(i, w) -> leaves++; state[i] = LEFT; record[w]!LEFT(i) }

proctype owner(byte w)
{
    mtype type;
    byte i;

end:
    do
    :: atomic { nempty(down[w]) -> take_message(w) }
    :: atomic { closing[w] == 1 && (!on_the_way(w) || CANARY == 1) && is_durable(w) -> send_entries(w) }
    STEPS(w)
    STEPS(w + 2)
    od
}

/* ---- the home ------------------------------------------------------------------------------------------------ */

inline take_request(w)
{
    up[w]?type, i;
    if
    :: type == NEED ->
        assert(phase != RECORDED);
        down[w]!TICKET(i);
        if
        :: phase == TOLD -> late = late | 1 << i
        :: else
        fi
    :: type == ENTRY -> entries = entries | 1 << i
    :: type == CLOSED -> closed++
    :: type == RETURN -> unit++
    fi;
    type = 0; i = 0
}

inline begin()
{
    phase = CLOSING;
    down[0]!CLOSE(0);
    down[1]!CLOSE(0)
}

inline place(i)
{
    if
    :: in(entries, i) -> down[i % 2]!PLACE(i)
    :: else
    fi
}

inline tell()
{
    place(0); place(1); place(2); place(3);
    down[0]!DRAWN(0);
    down[1]!DRAWN(0);
    phase = TOLD
}

/* The draw gave the order 3, 2, 1, 0; those who came behind have that of their numbers, for it does not matter here. */
#define first(set, i) (in(set, i) && (set) >> (i) == 1)

inline offer(i)
{
    unit--;
    if
    :: entries != 0 -> entries = entries & (15 - (1 << i))
    :: else -> late = late & (15 - (1 << i))
    fi;
    down[i % 2]!OFFER(i)
}

#define OFFERS(i) \
    :: atomic { phase == TOLD && unit > 0 && first((entries -> entries : late), i) -> offer(i) }

proctype home()
{
    mtype type;
    byte i;

end:
    do
    :: atomic { nempty(up[0]) -> take_request(0) }
    :: atomic { nempty(up[1]) -> take_request(1) }
    :: atomic { phase == ARMED -> begin() }
    :: atomic { phase == CLOSING && closed == 2 -> record[HOME]!DRAWN(entries); phase = RECORDED }
    :: atomic { phase == RECORDED && (is_drawn || CANARY == 4) -> tell() }
    OFFERS(0)
    OFFERS(1)
    OFFERS(2)
    OFFERS(3)
    od
}

/* ---- a crash, and what the next life makes of the log --------------------------------------------------------- */

inline drain(c)
{
    do
    :: nempty(c) -> c?_, _
    :: empty(c) -> break
    od
}

/* Whoever came behind the draw waits, and was not drawn. */
inline recover(i)
{
    state[i] = kept[i];
    placed[i] = (is_drawn && kept[i] == WAITS && in(drawn, i));
    if
    :: kept[i] == WAITS && is_drawn && in(drawn, i) -> entries = entries | 1 << i
    :: kept[i] == WAITS && is_drawn && !in(drawn, i) -> late = late | 1 << i
    :: kept[i] == HELD -> unit--
    :: else
    fi
}

proctype crash()
{
end:
    atomic {
        crashes < CRASH ->
        crashes++;
        drain(up[0]); drain(up[1]); drain(down[0]); drain(down[1]);
        drain(record[0]); drain(record[1]); drain(record[HOME]);
        closing[0] = 0; closing[1] = 0; closed = 0; entries = 0; late = 0; unit = 1;
        phase = (is_drawn || CANARY == 5 -> TOLD : ARMED);
        recover(0); recover(1); recover(2); recover(3)
    }
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

#define done(i)   (state[i] == LEFT || state[i] == HELD || state[i] == WAITS || (state[i] == NEW && i >= WAITERS))
#define seated(i) (state[i] != WAITS || (in(drawn, i) -> placed[i] : is_drawn))
#define held(i)   (state[i] == HELD -> 1 : 0)
#define waits(i)  (state[i] == WAITS -> 1 : 0)

init {
    atomic {
        run journal();
        run owner(0);
        run owner(1);
        run home();
        run crash()
    };
    timeout ->
    atomic {
        assert(done(0) && done(1) && done(2) && done(3));
        assert(seated(0) && seated(1) && seated(2) && seated(3));
        assert(unit + held(0) + held(1) + held(2) + held(3) == 1);
        assert(unit == 0 || waits(0) + waits(1) + waits(2) + waits(3) == 0)
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The waiting list of one item (docs/waiting.md): the home worker has the bank and the line, two workers own the
 * users. Everything was sold when the model begins; the holders give their units back one by one, at any time. A step
 * of a process is what a worker does between two looks at its rings; steps come in any order that the guards allow.
 *
 * Left open, so that all cases are tried: when each user asks and for how many units, whether a user stops being heard
 * of, and whether for good; whether users cancel, and when; whether an offer is claimed; when a record is durable; when
 * an order that is no WAIT comes. With CRASH=1 the appliance dies once, at any time: the next life knows what was
 * durable, and no more.
 *
 * Checked at each offer that is taken: no user of a smaller ticket waits without an offer. Checked in every state: no
 * unit is offered or sold twice, an order that is no WAIT takes nothing while users wait. When nothing moves any more:
 * no unit was lost, and none lies idle while a user who is present waits, except for a user at the head of the line who
 * wants more than there is. With `pan -l`: every run comes to that point.
 *
 * CANARY=1..9 plants a fault that one of these checks must find.
 */
#ifndef UNITS
#define UNITS 2
#endif
#ifndef WAITERS
#define WAITERS 3 /* at most 4 */
#endif
#ifndef MOST
#define MOST 1 /* units of an order: 1, or 1 and 2 */
#endif
#ifndef JUMPS
#define JUMPS 1 /* orders that are no WAIT */
#endif
#ifndef LEAVES
#define LEAVES 1 /* how often users stop being heard of, all together */
#endif
#ifndef CANCELS
#define CANCELS 1 /* of users who wait, all together */
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef CAP
#define CAP 2 /* places in a ring: few, so that it is full at times */
#endif
#ifndef CANARY
#define CANARY 0
#endif

#define ROOM   4
#define NOBODY 255

mtype = { NEED, GRANT, TICKET, OFFER, CALL, RETURN, ABSENT };
mtype = { NEW, ASKED, WAITS, HELD, LEFT, PAID };

chan up[2] = [CAP] of { mtype, byte, byte };   /* owner -> home: waiter, units */
chan down[2] = [CAP] of { mtype, byte, byte }; /* home -> owner: waiter, units; of TICKET the ticket */

/* of a waiter, at its owner: worker i % 2 */
mtype state[ROOM] = NEW;
byte quantity[ROOM];
byte ticket[ROOM];
bit absent[ROOM];   /* is not heard of */
bit returns[ROOM];  /* will be heard of again */
bit called[ROOM];   /* its turn has come, but there are too few units: leaves as soon as it is absent */
bit says[ROOM];     /* owes the home an ABSENT */
byte owes[ROOM];    /* units to be returned: at once, or when that is durable */
bit at_once[ROOM];

/* what the log holds of it */
mtype kept[ROOM] = NEW;

/* of the home */
chan line = [ROOM] of { byte, byte, byte }; /* waiter, units, ticket: in the order of tickets */
byte bank;
byte tickets;    /* given so far */
bit call_sent;   /* to the head of the line */

/* what only the checks look at */
bit offered[ROOM];   /* its offer is on its way */
bit cancelled[ROOM]; /* by its user, who was told so */
byte holders = UNITS;
byte jumped;        /* units that others bought */
byte jumps, leaves, cancels, crashes;

#define waits_unserved(i) (state[i] == WAITS && !offered[i])

/* ---- an owner ---------------------------------------------------------------------------------------------- */

#define before(j, i) (waits_unserved(j) && ticket[j] < ticket[i])

inline hold(i)
{
    assert(!before(0, i) && !before(1, i) && !before(2, i) && !before(3, i));
    state[i] = HELD
}

inline pass_on(i)
{
    owes[i] = (CANARY == 3 -> 0 : units);
    at_once[i] = 1
}

/* Whoever was not heard of leaves at its turn, and keeps nothing. */
inline leave(i)
{
    state[i] = LEFT;
    called[i] = 0
}

inline take_message(w)
{
    down[w]?type, i, units;
    if
    :: type == GRANT -> assert(state[i] == ASKED); state[i] = HELD
    :: type == TICKET -> assert(state[i] == ASKED); ticket[i] = units; state[i] = WAITS
    :: type == OFFER ->
        assert(offered[i] && (state[i] == WAITS || state[i] == LEFT));
        if
        :: state[i] == WAITS && !absent[i] -> hold(i)
        :: state[i] == WAITS && absent[i] -> leave(i); pass_on(i)
        :: state[i] == LEFT ->
            if
            :: CANARY == 8 -> state[i] = HELD
            :: else -> pass_on(i)
            fi
        fi;
        offered[i] = 0
    :: type == CALL ->
        if
        :: state[i] == WAITS -> called[i] = 1
        :: else -> says[i] = 1 /* it has left already */
        fi
    fi;
    type = 0; i = 0; units = 0
}

inline ask(i)
{
    if
    :: quantity[i] == 0 ->
        if
        :: quantity[i] = 1
        :: MOST > 1 -> quantity[i] = 2
        fi
    :: else /* again after a crash: a repeat has the same fields */
    fi;
    up[i % 2]!NEED(i, quantity[i]);
    state[i] = ASKED
}

/* The release of a held unit has to be durable. That of an offer which was not taken has nothing to be made durable. */
#define may_return(i) (owes[i] > 0 && (at_once[i] || kept[i] == LEFT || CANARY == 7))

#define STEPS(i) \
    :: atomic { i < WAITERS && state[i] == NEW && nfull(up[w]) -> ask(i) } \
    :: atomic { state[i] == WAITS && !absent[i] && leaves < LEAVES -> leaves++; absent[i] = 1; \
        if :: returns[i] = 1 :: returns[i] = 0 fi } \
    :: atomic { state[i] == WAITS && absent[i] && returns[i] -> absent[i] = 0; returns[i] = 0 } \
    :: atomic { state[i] == WAITS && cancels < CANCELS -> cancels++; says[i] = called[i]; leave(i); \
        cancelled[i] = 1 } \
    :: atomic { state[i] == WAITS && called[i] && absent[i] && CANARY != 4 -> leave(i); says[i] = 1 } \
    :: atomic { state[i] == HELD -> assert(!cancelled[i]); state[i] = PAID } \
    :: atomic { state[i] == HELD -> state[i] = LEFT; owes[i] = quantity[i]; at_once[i] = 0 } \
    :: atomic { kept[i] != state[i] && state[i] != NEW && state[i] != ASKED -> kept[i] = state[i] } \
    :: atomic { may_return(i) && nfull(up[w]) -> up[w]!RETURN(i, owes[i]); owes[i] = 0 } \
    :: atomic { says[i] && nfull(up[w]) -> up[w]!ABSENT(i, 0); says[i] = 0 }

proctype owner(byte w)
{
    mtype type;
    byte i, units;

end:
    do
    :: atomic { nempty(down[w]) -> take_message(w) }
    STEPS(w)
    STEPS(w + 2)
    od
}

/* ---- the home ---------------------------------------------------------------------------------------------- */

#define someone_waits() (waits_unserved(0) || waits_unserved(1) || waits_unserved(2) || waits_unserved(3))

/* A unit can be had: the WAIT is a RESERVE. Else it gets the next ticket. */
inline take_need(w)
{
    if
    :: empty(line) && bank >= units -> bank = bank - units; down[w]!GRANT(i, units)
    :: else ->
        tickets++;
        if
        :: CANARY == 1 && len(line) == 1 -> /* before the one who waits */
            line?a, b, c;
            line!i, units, tickets;
            line!a, b, c;
            a = 0; b = 0; c = 0
        :: else -> line!i, units, tickets
        fi;
        down[w]!TICKET(i, tickets)
    fi
}

inline drop_head()
{
    line?_, _, _;
    call_sent = 0
}

inline take_request(w)
{
    up[w]?type, i, units;
    if
    :: type == NEED -> take_need(w)
    :: type == RETURN -> bank = bank + units
    :: type == ABSENT ->
        if
        :: line?[eval(i), _, _] -> drop_head()
        :: else /* it was offered units meanwhile, which come back */
        fi
    fi;
    type = 0; i = 0; units = 0
}

inline offer(w)
{
    if
    :: CANARY == 5 -> line?<i, units, _>
    :: else -> line?i, units, _
    fi;
    call_sent = 0;
    assert(!offered[i] && state[i] != HELD && state[i] != PAID);
    offered[i] = 1;
    bank = bank - units;
    down[w]!OFFER(i, units);
    i = 0; units = 0
}

inline call(w)
{
    line?<i, units, _>;
    call_sent = 1;
    down[w]!CALL(i, 0);
    i = 0; units = 0
}

/* Of another user, who did not wait. */
inline jump()
{
    jumps++;
    if
    :: bank > 0 && (empty(line) || CANARY == 2) -> assert(!someone_waits()); bank--; jumped++
    :: else /* SOLD_OUT */
    fi
}

#define head_is(i, q)  (line?[i, q, _])
#define head_of_0(q)   (head_is(0, q) || head_is(2, q))
#define head_of_1(q)   (head_is(1, q) || head_is(3, q))
#define enough(head)   ((head(1) && bank >= 1) || (head(2) && bank >= 2))
#define too_few(head)  (head(2) && bank == 1 && !call_sent)

proctype home()
{
    mtype type;
    byte i, units, a, b, c;

end:
    do
    :: atomic { nempty(up[0]) && nfull(down[0]) -> take_request(0) }
    :: atomic { nempty(up[1]) && nfull(down[1]) -> take_request(1) }
    :: atomic { enough(head_of_0) && nfull(down[0]) -> offer(0) }
    :: atomic { enough(head_of_1) && nfull(down[1]) -> offer(1) }
    :: atomic { too_few(head_of_0) && nfull(down[0]) -> call(0) }
    :: atomic { too_few(head_of_1) && nfull(down[1]) -> call(1) }
    :: atomic { holders > 0 -> holders--; bank++ }
    :: atomic { jumps < JUMPS -> jump() }
    od
}

/* ---- a crash, and what the next life makes of the log ------------------------------------------------------- */

inline drain(c)
{
    do
    :: nempty(c) -> c?_, _, _
    :: empty(c) -> break
    od
}

inline recover_waiter(i)
{
    state[i] = kept[i];
    absent[i] = 0; /* all count as heard of */
    returns[i] = 0; called[i] = 0; says[i] = 0; owes[i] = 0; at_once[i] = 0; offered[i] = 0;
    cancelled[i] = (kept[i] == LEFT && cancelled[i]);
    if
    :: kept[i] == NEW -> ticket[i] = 0
    :: else -> /* units and ticket are in the log */
        if
        :: ticket[i] > tickets && CANARY != 6 -> tickets = ticket[i]
        :: else
        fi
    fi;
    if
    :: kept[i] == HELD || kept[i] == PAID -> used = used + quantity[i]
    :: else
    fi
}

/* The line has those who wait, by their tickets. */
inline recover_line()
{
    n = 1;
    do
    :: n > 2 * ROOM -> break
    :: else ->
        i = 0;
        do
        :: i == ROOM -> break
        :: i < ROOM && state[i] == WAITS && ticket[i] == (CANARY == 9 -> 2 * ROOM + 1 - n : n) ->
            line!i, quantity[i], ticket[i];
            i++
        :: else -> i++
        od;
        n++
    od
}

proctype crash()
{
    byte i, n, used;

end:
    atomic {
        crashes < CRASH ->
        crashes++;
        drain(up[0]); drain(up[1]); drain(down[0]); drain(down[1]); drain(line);
        call_sent = 0;
        tickets = 0;
        recover_waiter(0); recover_waiter(1); recover_waiter(2); recover_waiter(3);
        assert(used + holders + jumped <= UNITS);
        bank = UNITS - used - holders - jumped;
        recover_line();
        i = 0; n = 0; used = 0
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

#define done(i)  (state[i] == LEFT || state[i] == PAID || state[i] == WAITS || (state[i] == NEW && i >= WAITERS))
#define paid(i)  (state[i] == PAID -> quantity[i] : 0)
#define there(i) (line?[i, _, _] && !absent[i] && state[i] == WAITS && quantity[i] > bank)

init {
    atomic {
        run owner(0);
        run owner(1);
        run home();
        run crash()
    };
    timeout ->
    atomic {
        assert(done(0) && done(1) && done(2) && done(3));
        assert(holders == 0 && bank + jumped + paid(0) + paid(1) + paid(2) + paid(3) == UNITS);
        assert(bank == 0 || empty(line) || there(0) || there(1) || there(2) || there(3));
        assert(bank == 0 || nempty(line) || !someone_waits())
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slices and bank of one item (docs/architecture.md, "Slices and bank"; lib/stock/slice.c and bank.c): two workers
 * with slices, and the home worker with the bank. A step of a process is what a worker does between two looks at
 * its rings. Steps come in any order that the guards allow: the code keeps to one of these orders.
 *
 * Left open, so that all cases are tried: when a request comes and of how many units, whether an order is paid, when
 * the units of an unpaid one leave for the bank (their record has to be durable), how large a grant's surplus is.
 *
 * Checked in every state: never more sold than there is; SOLD_OUT and INSUFFICIENT only when every unit that is
 * neither sold nor on its way back lies in the bank; each NEED answered once and in order. When nothing moves any
 * more: every request has its answer, no unit is lost, nobody is left with a stale SOLD_OUT. With `pan -l`: every run
 * comes to that point.
 *
 * CANARY=1..7 plants a fault that one of these checks must find.
 */
#ifndef UNITS
#define UNITS 3
#endif
#ifndef ORDERS
#define ORDERS 2 /* of a worker with a slice; each of 1 or 2 units */
#endif
#ifndef ORDERS_1
#define ORDERS_1 ORDERS /* of the second worker; at most ORDERS */
#endif
#ifndef HOME_ORDERS
#define HOME_ORDERS 1 /* of the home worker; at most ORDERS */
#endif
#ifndef CAP
#define CAP 2 /* places in a ring: few, so that it is full at times */
#endif
#ifndef CANARY
#define CANARY 0
#endif

#define WORKERS  2
#define SELLERS  3
#define HOME     2 /* as a seller */
#define NOBODY   255
#define AT(w, o) ((w) * ORDERS + (o))

mtype = { NEED, GRANT, REFUSE, RECALL, RECALLED, RETURN, SOLD_OUT, OPEN };
mtype = { NEW, WAITS, DECIDED };

chan up[WORKERS] = [CAP] of { mtype, byte, byte, bit }; /* worker -> bank: units, serial, first */
chan down[WORKERS] = [CAP] of { mtype, byte, byte };    /* bank -> worker: units, serial */

/* of every seller */
mtype order[SELLERS * ORDERS] = NEW;
byte quantity[SELLERS * ORDERS];
byte asked[SELLERS];             /* orders that are no longer NEW */
byte head[SELLERS] = NOBODY;     /* oldest order that waits */
byte ones[SELLERS], twos[SELLERS]; /* sold orders that will not be paid */

/* of a worker with a slice */
byte slice[WORKERS];
bit recalled[WORKERS];   /* a RECALL waits for its answer */
bit sold_out[WORKERS];

/* of the bank */
byte bank;
chan queue = [SELLERS * ORDERS] of { byte, byte, byte, bit }; /* seller, units, serial, first */
byte queue_units;
chan own = [ORDERS] of { byte, byte }; /* the home's requests before they are in the queue: units, serial */
bit lent[WORKERS], recall_send[WORKERS], recall_wait[WORKERS], announce_send[WORKERS];
bit announced, refused_empty;

/* what only the checks look at */
byte sold;              /* units in orders */
byte back;              /* units given back that are not in the bank yet */
byte needs[WORKERS];    /* NEEDs without an answer */
byte answered[WORKERS]; /* serial + 1 of the last answer, while others are awaited */

#define either(flag)   (flag[0] || flag[1])
#define all_gathered() (sold + back + bank == UNITS)

/* ---- a seller ---------------------------------------------------------------------------------------------- */

inline find_head(w)
{
    head[w] = 0;
    do
    :: head[w] < ORDERS && order[AT(w, head[w])] != WAITS -> head[w]++
    :: else -> break
    od;
    if
    :: head[w] == ORDERS -> head[w] = NOBODY
    :: else
    fi
}

inline choose_quantity(w)
{
    if
    :: quantity[AT(w, asked[w])] = 1
    :: quantity[AT(w, asked[w])] = 2
    fi
}

inline decided(w, o)
{
    order[AT(w, o)] = DECIDED;
    quantity[AT(w, o)] = 0;
    find_head(w)
}

/* Whether it will be paid is decided here and seen later. */
inline sell(w, o, stock)
{
    assert(stock >= quantity[AT(w, o)]);
    stock = stock - quantity[AT(w, o)];
    sold = sold + quantity[AT(w, o)];
    assert(sold <= UNITS);
    if
    :: true /* paid */
    :: quantity[AT(w, o)] == 1 -> ones[w]++
    :: quantity[AT(w, o)] == 2 -> twos[w]++
    fi;
    decided(w, o)
}

inline announce(what)
{
    if
    :: what -> assert(bank == 0 && all_gathered() && !either(lent))
    :: else
    fi;
    announced = what;
    refused_empty = 0;
    announce_send[0] = 1;
    announce_send[1] = 1
}

/* lib/stock/bank.c: bank_add() */
inline bank_add(units)
{
    bank = bank + units;
    if
    :: announced && units > 0 && CANARY != 5 -> announce(0)
    :: else
    fi
}

/* Unpaid orders: cancelled or expired, and that is durable. */
inline give_back(w, n_ones, n_twos)
{
    units = n_ones + 2 * n_twos;
    ones[w] = ones[w] - n_ones;
    twos[w] = twos[w] - n_twos;
    sold = sold - units;
    if
    :: w == HOME -> bank_add(units)
    :: else ->
        back = back + units;
        up[w % WORKERS]!RETURN(units, 0, 0)
    fi;
    units = 0
}

/* ---- a worker with a slice --------------------------------------------------------------------------------- */

#define head_is_served(w) (head[w] != NOBODY && quantity[AT(w, head[w])] <= slice[w])

/* Who waits is served first. */
#define may_sell(w) ((head[w] == NOBODY || CANARY == 6) && quantity[AT(w, asked[w])] <= slice[w])

/* lib/stock/decide.c: reserve(), accept_or_park() */
inline ask(w)
{
    choose_quantity(w);
    if
    :: sold_out[w] && slice[w] == 0 ->
        /* true, but for the time that an OPEN takes to get here */
        assert((announced && bank == 0 && all_gathered()) || announce_send[w] || down[w]??[OPEN, _, _]);
        decided(w, asked[w])
    :: !(sold_out[w] && slice[w] == 0) && may_sell(w) -> sell(w, asked[w], slice[w])
    :: !(sold_out[w] && slice[w] == 0) && !may_sell(w) && full(up[w]) -> decided(w, asked[w]) /* BUSY */
    :: !(sold_out[w] && slice[w] == 0) && !may_sell(w) && nfull(up[w]) ->
        up[w]!NEED(quantity[AT(w, asked[w])], asked[w], (head[w] == NOBODY));
        order[AT(w, asked[w])] = WAITS;
        needs[w]++;
        find_head(w)
    fi;
    asked[w]++
}

inline check_answer(w)
{
    assert(needs[w] > 0 && serial >= answered[w]);
    assert(order[AT(w, serial)] != NEW);
    needs[w]--;
    answered[w] = (needs[w] > 0 -> serial + 1 : 0)
}

/* lib/stock/slice.c: slice_message() */
inline take_message(w)
{
    down[w]?type, units, serial;
    if
    :: type == GRANT ->
        check_answer(w);
        slice[w] = slice[w] + units
    :: type == REFUSE ->
        check_answer(w);
        if
        :: order[AT(w, serial)] == WAITS -> decided(w, serial)
        :: else /* it was served from the slice meanwhile */
        fi
    :: type == RECALL -> assert(!recalled[w]); recalled[w] = 1
    :: type == SOLD_OUT -> sold_out[w] = 1
    :: type == OPEN -> sold_out[w] = 0
    fi;
    type = 0; units = 0; serial = 0
}

/* lib/stock/slice.c: slice_work() */
inline answer_recall(w)
{
    up[w]!RECALLED(slice[w], 0, 0);
    slice[w] = (CANARY == 3 -> slice[w] : 0);
    recalled[w] = 0
}

proctype worker(byte w)
{
    mtype type;
    byte units, serial;

end:
    do
    :: atomic { nempty(down[w]) -> take_message(w) }
    :: atomic { asked[w] < (w == 0 -> ORDERS : ORDERS_1) -> ask(w) }
    :: atomic { head_is_served(w) -> sell(w, head[w], slice[w]) }
    :: atomic { recalled[w] && nfull(up[w]) && (!head_is_served(w) || CANARY == 2) -> answer_recall(w) }
    :: atomic { ones[w] > 0 && nfull(up[w]) -> give_back(w, 1, 0) }
    :: atomic { twos[w] > 0 && nfull(up[w]) -> give_back(w, 0, 1) }
    :: atomic { ones[w] + twos[w] > 1 && nfull(up[w]) -> give_back(w, ones[w], twos[w]) }
    od
}

/* ---- the home worker --------------------------------------------------------------------------------------- */

/* lib/stock/bank.c: bank_message() */
inline take_request(w)
{
    up[w]?type, units, serial, first;
    if
    :: type == NEED ->
        queue!w, units, serial, first;
        queue_units = queue_units + units
    :: type == RECALLED ->
        assert(recall_wait[w]);
        recall_wait[w] = 0;
        lent[w] = (CANARY == 7 -> 1 : 0);
        if
        :: CANARY == 4 -> recall_wait[1 - w] = 0; lent[1 - w] = 0
        :: else
        fi;
        bank_add(units)
    :: type == RETURN ->
        back = back - units;
        bank_add(units)
    fi;
    type = 0; units = 0; serial = 0; first = 0
}

/* lib/stock/decide.c: accept_or_park(): sold from the bank at once, or told to it like those of others. */
inline ask_home()
{
    choose_quantity(HOME);
    if
    :: announced && bank == 0 ->
        assert(all_gathered());
        decided(HOME, asked[HOME])
    :: !(announced && bank == 0) && len(queue) == 0 && head[HOME] == NOBODY &&
        quantity[AT(HOME, asked[HOME])] <= bank -> sell(HOME, asked[HOME], bank)
    :: !(announced && bank == 0) ->
        own!quantity[AT(HOME, asked[HOME])], asked[HOME];
        order[AT(HOME, asked[HOME])] = WAITS;
        find_head(HOME)
    fi;
    asked[HOME]++
}

/* lib/stock/poll.c: take_own() */
inline take_own()
{
    own?units, serial;
    queue!HOME, units, serial, 0;
    queue_units = queue_units + units;
    units = 0; serial = 0
}

#define head_of(w)   (queue?[w, _, _, _])
#define too_large(w) ((queue?[w, 1, _, _] && bank < 1) || (queue?[w, 2, _, _] && bank < 2))
#define can_serve(w) (head_of(w) && !either(recall_wait) && !too_large(w))
#define must_ask(w)  (head_of(w) && !either(recall_wait) && too_large(w) && either(lent))
#define must_say(w)  (head_of(w) && !either(recall_wait) && too_large(w) && !either(lent))

inline dequeue(w)
{
    queue?_, units, serial, first;
    queue_units = queue_units - units
}

/* lib/stock/bank.c: grant(), with a surplus or without */
inline grant(w)
{
    dequeue(w);
    bank = bank - units;
    lent[w] = 1;
    if
    :: first && bank > queue_units ->
        units = units + bank - queue_units;
        bank = queue_units
    :: true
    fi;
    down[w]!GRANT(units, serial);
    units = 0; serial = 0; first = 0
}

/* INSUFFICIENT, or SOLD_OUT when the bank is empty: nothing may be free elsewhere. */
inline refuse(w)
{
    dequeue(w);
    assert(units > bank && all_gathered());
    refused_empty = refused_empty || bank == 0;
    if
    :: w == HOME ->
        assert(order[AT(HOME, serial)] == WAITS);
        decided(HOME, serial)
    :: else -> down[w % WORKERS]!REFUSE(0, serial)
    fi;
    units = 0; serial = 0; first = 0
}

inline serve_home()
{
    dequeue(HOME);
    assert(serial == head[HOME]);
    sell(HOME, serial, bank);
    units = 0; serial = 0; first = 0
}

inline recall()
{
    recall_send[0] = lent[0]; recall_wait[0] = lent[0];
    recall_send[1] = lent[1]; recall_wait[1] = lent[1]
}

/* lib/stock/bank.c: bank_work(), after the queue */
inline judge_empty()
{
    refused_empty = 0;
    if
    :: bank == 0 && !announced -> announce(1)
    :: else
    fi
}

proctype home()
{
    mtype type;
    byte units, serial;
    bit first;

end:
    do
    :: atomic { nempty(up[0]) -> take_request(0) }
    :: atomic { nempty(up[1]) -> take_request(1) }
    :: atomic { asked[HOME] < HOME_ORDERS -> ask_home() }
    :: atomic { nempty(own) -> take_own() }
    :: atomic { ones[HOME] > 0 -> give_back(HOME, 1, 0) }
    :: atomic { twos[HOME] > 0 -> give_back(HOME, 0, 1) }
    :: atomic { can_serve(0) && nfull(down[0]) -> grant(0) }
    :: atomic { can_serve(1) && nfull(down[1]) -> grant(1) }
    :: atomic { can_serve(HOME) -> serve_home() }
    :: atomic { must_ask(0) || must_ask(1) || must_ask(HOME) -> recall() }
    :: atomic { must_say(0) && nfull(down[0]) -> refuse(0) }
    :: atomic { must_say(1) && nfull(down[1]) -> refuse(1) }
    :: atomic { must_say(HOME) -> refuse(HOME) }
    :: atomic { refused_empty && empty(queue) && !either(lent) -> judge_empty() }
    :: atomic { CANARY == 1 && either(recall_wait) && bank == 0 && !announced -> announce(1) }
    :: atomic { recall_send[0] && nfull(down[0]) -> down[0]!RECALL(0, 0); recall_send[0] = 0 }
    :: atomic { recall_send[1] && nfull(down[1]) -> down[1]!RECALL(0, 0); recall_send[1] = 0 }
    :: atomic { announce_send[0] && nfull(down[0]) ->
        down[0]!(announced -> SOLD_OUT : OPEN), 0, 0; announce_send[0] = 0 }
    :: atomic { announce_send[1] && nfull(down[1]) ->
        down[1]!(announced -> SOLD_OUT : OPEN), 0, 0; announce_send[1] = 0 }
    od
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

init {
    atomic {
        bank = UNITS;
        run worker(0);
        run worker(1);
        run home()
    };
    timeout ->
    atomic {
        assert(asked[0] == ORDERS && asked[1] == ORDERS_1 && asked[HOME] == HOME_ORDERS);
        assert(head[0] == NOBODY && head[1] == NOBODY && head[HOME] == NOBODY);
        assert(empty(queue) && empty(own));
        assert(needs[0] == 0 && needs[1] == 0 && !either(recall_wait) && !either(recalled));
        assert(back == 0 && bank + slice[0] + slice[1] + sold == UNITS);
        assert(sold_out[0] == announced && sold_out[1] == announced);
        assert(!announced || (bank == 0 && slice[0] == 0 && slice[1] == 0))
    }
}

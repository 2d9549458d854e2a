/*
 * Three devices of one iommu_group, each attached to H1, replaced to H2 and detached by a thread of its own, under the group's lock: the model of
 * src/scenarios/calls/three-lives-one-call-at-a-time.yaml with `locks: group`, written again for Spin, step for step (one d_step or
 * atomic is one step of machines/attach.ts, replace.ts, detach.ts, group-switch.ts, attach-pt.ts).
 *
 * With -DNOREDUCE Spin stores exactly the states of our search without reduction (bench/explore.ts compares the numbers).
 *
 *   spin -a three-lives.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -w20 -m10000
 */

/* Ordered sets of devices are numbers: a digit to base 4 for each place, dev + 1, first place lowest. */
#define AT(l, k) (((l) >> (2 * (k))) & 3)
#define COUNT(l) (((l) > 0) + ((l) > 3) + ((l) > 15))
#define HAS(l, d) (AT(l, 0) == (d) + 1 || AT(l, 1) == (d) + 1 || AT(l, 2) == (d) + 1)
#define ADD(l, d) l = l | (((d) + 1) << (2 * COUNT(l)))
#define REMOVE(l, d) \
	if \
	:: AT(l, 0) == (d) + 1 -> l = l >> 2 \
	:: AT(l, 0) != (d) + 1 && AT(l, 1) == (d) + 1 -> l = (l & 3) | ((l >> 4) << 2) \
	:: AT(l, 0) != (d) + 1 && AT(l, 1) != (d) + 1 && AT(l, 2) == (d) + 1 -> l = l & 15 \
	:: else \
	fi

c_decl { static int red; }
#define CHECK(e) if :: (e) :: else -> c_code { if (!red) { red = 1; printf("VIOLATED\n"); } } fi

bit locked;
byte list;	/* iommufd's group: attached devices, in order */
byte hwpt;	/* 0 none, 1 H1, 2 H2 */
byte dom;	/* the core's group: 0 blocking, 1 and 2 the domains of H1 and H2 */
byte handle;	/* who switched, and to what: 4 * (dev + 1) + dom, 0 none */
byte hw[3];	/* what each device translates through */
bool attached[3];
byte users[3] = 1;	/* of H1 and H2; [0] is not used */
byte resv[3];	/* reservations in the IOAS of H1 and H2, in order */
byte acting;	/* calls under way that have changed something */

/* What must hold while no such call is under way: GRP-1, GRP-3, GRP-4, GRP-8, GRP-9, RSV-1, RSV-2, REF-1. */
#define DEVICE(d) \
	CHECK(hw[d] == dom); \
	CHECK(!attached[d] || (hwpt != 0 && dom == hwpt && HAS(resv[hwpt], d))); \
	CHECK(!HAS(resv[1], d) || (attached[d] && hwpt == 1)); \
	CHECK(!HAS(resv[2], d) || (attached[d] && hwpt == 2))
#define USERS(h) CHECK(users[h] == 1 + ((hwpt == h) -> attached[0] + attached[1] + attached[2] : 0))
#define END \
	acting--; \
	if \
	:: acting == 0 -> CHECK((dom != 0) == (attached[0] || attached[1] || attached[2])); DEVICE(0); DEVICE(1); DEVICE(2); USERS(1); USERS(2) \
	:: else \
	fi

active [3] proctype device()
{
	byte from;	/* the transaction's */
	byte old;	/* the switch's: domain before */
	byte mine;	/* devices learned under the lock */
	byte i;
	bit first;

	/* attach to H1 */
	skip;	/* begins */
	skip;	/* id.look */
	skip;	/* call.attach */
	d_step { !locked -> locked = 1; acting++; first = (list == 0) };
	if
	:: atomic { hwpt == 0 || hwpt == 1 -> d_step { ADD(resv[1], _pid) } }
	:: atomic { hwpt == 2 -> d_step { locked = 0; first = 0; END }; goto second }
	fi;
	if
	:: atomic { first -> skip } ;	/* call.switch */
		d_step { handle = 4 * (_pid + 1) + 1 };
		d_step { hw[0] = 1 };
		d_step { hw[1] = 1 };
		d_step { hw[2] = 1 };
		d_step { dom = 1 };
		d_step { hwpt = 1 };
		d_step { users[1]++ }
	:: atomic { !first -> d_step { users[1]++ } }
	fi;
	d_step { ADD(list, _pid) };
	d_step { attached[_pid] = 1 };
	d_step { locked = 0; first = 0; END };

second:	/* replace to H2 */
	skip;	/* begins */
	skip;	/* id.look */
	d_step { !locked -> locked = 1; acting++; from = hwpt };	/* call.replace and the lock */
	if
	:: atomic { hwpt == 0 || !HAS(list, _pid) -> d_step { locked = 0; from = 0; END }; goto third }
	:: atomic { hwpt == 2 && HAS(list, _pid) -> skip } ;	/* dev.replace.noop */
		d_step { locked = 0; from = 0; END };
		goto third
	:: atomic { hwpt == 1 && HAS(list, _pid) -> d_step { mine = list; i = 1; ADD(resv[2], AT(mine, 0) - 1) } }
	fi;
	do
	:: atomic { i < COUNT(mine) -> d_step { ADD(resv[2], AT(mine, i) - 1); i++ } }
	:: atomic { i == COUNT(mine) -> break }	/* call.switch */
	od;
	atomic { hw[0] = 2 };
	d_step { hw[1] = 2 };
	d_step { hw[2] = 2 };
	d_step { dom = 2 };
	d_step { handle = 4 * (_pid + 1) + 2; i = 0 };
	do
	:: atomic { i < COUNT(mine) -> d_step { REMOVE(resv[1], AT(mine, i) - 1); i++ } }
	:: atomic { i == COUNT(mine) -> d_step { hwpt = 2 }; break }
	od;
	atomic { users[2] = users[2] + COUNT(mine) };
	if
	:: atomic { COUNT(mine) > 1 -> d_step { users[1] = users[1] - (COUNT(mine) - 1) } } ;
		d_step { locked = 0 }
	:: atomic { COUNT(mine) == 1 -> d_step { locked = 0 } }
	fi;
	skip;	/* call.put */
	d_step { users[1]-- };
	d_step { from = 0; mine = 0; i = 0; END };	/* dev.replaced */

third:	/* detach */
	if
	:: atomic { attached[_pid] -> d_step { from = hwpt } }	/* begins */
	:: atomic { !attached[_pid] -> goto end }
	fi;
	d_step { !locked -> locked = 1; acting++ };
	d_step { REMOVE(list, _pid); first = (list == 0) };
	if
	:: atomic { first -> old = dom } ;	/* call.switch */
		d_step { hw[0] = 0 };
		d_step { hw[1] = 0 };
		d_step { hw[2] = 0 };
		d_step { dom = 0 };
		d_step { handle = 0; old = 0 };
		d_step { hwpt = 0 };
		d_step { REMOVE(resv[from], _pid) }
	:: atomic { !first -> d_step { REMOVE(resv[from], _pid) } }
	fi;
	d_step { locked = 0 };
	skip;	/* call.put */
	d_step { users[from]-- };
	d_step { attached[_pid] = 0; from = 0; first = 0; END };	/* dev.detach */
end:
	false
}


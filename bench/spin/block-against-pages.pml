/*
 * A block map against N page maps in one empty region: the model of src/scenarios/library/block-against-page.yaml with N page
 * threads, written again for Spin. Without CLOSURE hardware is a process that fills and evicts single entries; with CLOSURE
 * every step is followed by all fills, as our explorer has it.
 *
 *   spin -a -DN=2 block-against-pages.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -w20 -m10000
 */
#ifndef N
#define N 1
#endif
#define P (N+1)

#define PRIVATE 0
#define LINKED 1
#define UNLINKED 2
#define FREED 3

/* A violation is said once and the search goes on: printing every one would be what is measured. */
c_decl { static int red; }
#define CHECK(e) if :: (e) :: else -> c_code { if (!red) { red = 1; printf("VIOLATED\n"); } } fi

byte slot;		/* 0 empty, 1 block, 2+t table t */
byte st[N];		/* life of each page thread's own table */
byte entry[N*P];	/* 0 empty, 1+i page of thread i */
bool dir[N];		/* hardware holds a pointer to table t */
bool leafBlock;		/* … the block */
bool leafPage[P];	/* … the page of thread p, as a page-level entry */
bool leafGarbage[P];	/* … what a freed page said */
bool openBlock;
bool openPage[N];

#ifdef CLOSURE
hidden byte sat_t, sat_p;
#define AFTER saturate()
#else
#define AFTER skip
#endif

hidden byte k;

/* Everything that walks can put into caches now. */
inline saturate()
{
	sat_t = 0;
	leafBlock = leafBlock || (slot == 1);
	do
	:: sat_t < N ->
		dir[sat_t] = dir[sat_t] || (slot == 2 + sat_t);
		if
		:: dir[sat_t] ->
			sat_p = 0;
			do
			:: sat_p < P ->
				leafGarbage[sat_p] = leafGarbage[sat_p] || (st[sat_t] == FREED);
				leafPage[sat_p] = leafPage[sat_p] || (st[sat_t] != FREED && entry[sat_t*P+sat_p] != 0);
				sat_p++
			:: else -> break
			od
		:: else
		fi;
		sat_t++
	:: else -> break
	od;
	sat_t = 0;
	sat_p = 0
}


inline unlinkWhatIsThere()
{
	if
	:: slot >= 2 -> st[slot - 2] = UNLINKED
	:: else
	fi
}

proctype block()
{
	byte b;
	d_step { openBlock = true; AFTER };
	d_step { b = slot; AFTER };
	if
	:: b == 1 -> goto exists
	:: b >= 2 ->
		d_step { unlinkWhatIsThere(); slot = 0; AFTER };
		d_step { skip; AFTER };	/* issued */
		d_step {	/* completed */
			k = 0;
			do
			:: k < N -> dir[k] = 0; k++
			:: else -> break
			od;
			k = 0;
			do
			:: k < P -> leafPage[k] = 0; leafGarbage[k] = 0; k++
			:: else -> break
			od;
			k = 0;
			leafBlock = 0;
			AFTER
		};
		d_step {
			CHECK(!dir[b-2]);	/* PT-25, PT-26 */
			CHECK(st[b-2] != FREED);
			st[b-2] = FREED;
			AFTER
		}
	:: else
	fi;
	d_step { unlinkWhatIsThere(); slot = 1; AFTER };
	d_step {
		openBlock = false;
		CHECK(slot == 1 || openPage[0]);	/* PT-12 */
		k = 0;
		do
		:: k < N -> CHECK(!leafPage[k] || openPage[k]); k++	/* PT-14 */
		:: else -> break
		od;
		k = 0
	};
	goto end0;
exists:
	atomic { openBlock = false; AFTER };
end0:
	skip
}

proctype page(byte i)
{
	byte d;
	d_step { openPage[i] = true; AFTER };
	d_step { d = slot; AFTER };
	if
	:: d == 1 -> goto exists
	:: d >= 2 -> goto have
	:: else
	fi;
	d_step {
		if
		:: slot == 0 -> slot = 2 + i; st[i] = LINKED; d = 2 + i
		:: else -> d = slot
		fi;
		AFTER
	};
	if
	:: d == 2 + i -> goto have
	:: else
	fi;
	d_step { st[i] = FREED; AFTER };
	if
	:: d == 1 -> goto exists
	:: else
	fi;
have:
	atomic {
		CHECK(st[d-2] == LINKED);	/* PT-28 */
		if
		:: st[d-2] != FREED -> entry[(d-2)*P+i] = 1 + i
		:: else
		fi;
		AFTER
	};
	d_step {
		openPage[i] = false;
		CHECK(openBlock || (slot == d && entry[(d-2)*P+i] != 0));	/* PT-12 */
		CHECK(openBlock || !leafBlock)	/* PT-14 */
	};
	goto end1;
exists:
	atomic { openPage[i] = false; AFTER };
end1:
	skip
}

#ifndef CLOSURE
/* Hardware: any fill that a walk could make, any eviction. */
#define TABLE(t) \
	:: atomic { slot == 2 + t && !dir[t] -> dir[t] = 1 } \
	:: atomic { dir[t] -> dir[t] = 0 }
#define PAGE(p) \
	:: atomic { leafPage[p] -> leafPage[p] = 0 } \
	:: atomic { leafGarbage[p] -> leafGarbage[p] = 0 }
#define WALK(t, p) \
	:: atomic { (slot == 2 + t || dir[t]) && st[t] != FREED && entry[t*P+p] != 0 && !leafPage[p] -> leafPage[p] = 1 } \
	:: atomic { (slot == 2 + t || dir[t]) && st[t] == FREED && !leafGarbage[p] -> leafGarbage[p] = 1 }
proctype hardware()
{
endloop:
	do
	:: atomic { slot == 1 && !leafBlock -> leafBlock = 1 }
	:: atomic { leafBlock -> leafBlock = 0 }
	TABLE(0)
	PAGE(0) PAGE(1)
	WALK(0, 0) WALK(0, 1)
#if N > 1
	TABLE(1)
	PAGE(2)
	WALK(0, 2) WALK(1, 0) WALK(1, 1) WALK(1, 2)
#endif
#if N > 2
	TABLE(2)
	PAGE(3)
	WALK(0, 3) WALK(1, 3) WALK(2, 0) WALK(2, 1) WALK(2, 2) WALK(2, 3)
#endif
	od
}
#endif

init {
	atomic {
		run block();
		run page(0);
#if N > 1
		run page(1);
#endif
#if N > 2
		run page(2);
#endif
#ifndef CLOSURE
		run hardware()
#endif
	}
}

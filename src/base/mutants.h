/* mutants.h - deliberate faults of the commit protocol, so that the crash tests
 * can be seen to fail.
 *
 * MUTANT(name) is false, and costs nothing, but in tests/crash/mutants, which
 * is built from the same sources with BLT_MUTANTS.
 */
#ifndef BLT_MUTANTS_H
#define BLT_MUTANTS_H

#ifdef BLT_MUTANTS

enum mutant {
	MUTANT_NONE,
	MUTANT_POINTERS_FIRST,       /* in place before the record is durable */
	MUTANT_SYNC_DOES_NOTHING,    /* acknowledged without fdatasync */
	MUTANT_HOT_UNSYNCED,         /* appended before the header is durable */
	MUTANT_CHECKPOINT_UNSYNCED,  /* a slot before what it says is done */
	MUTANT_SUM_UNCHECKED,        /* any record counts */
	MUTANT_NEXT_UNMASKED,        /* the checksum covers next pointers */
	MUTANT_TIME_UNMASKED,        /* and timestamps */
	MUTANT_CHANGES_NOT_REDONE,   /* the record's list is passed over */
	MUTANT_LOG_NOT_REWRITTEN,    /* pointers go in without write and sync */
	MUTANT_RECOVERED_UNSYNCED,   /* a new log before the old one is done */
	MUTANT_LOG_KEPT,             /* the old salt, and what was cut off */
	MUTANT_CLEAN_UNSYNCED,       /* a plain header before the rest */
	MUTANT_PLACE_IN_LOG,         /* an index over what the log covers */
	MUTANT_LANDED_IN_LOG,        /* what covers an index the log names */
	MUTANT_REUSE_UNCHECKPOINTED, /* prune writes where records redo */
	MUTANT_COPY_UNSYNCED,    /* moved blocks' record before their bytes */
	MUTANT_ZONE_NOT_COVERED, /* prune's gap is left as it is */
	MUTANT_CUT_EARLY,        /* the file's end before its slot */
	MUTANT_PUNCH_EARLY,      /* trim's holes before the merge is durable */
	MUTANT_STREAM_UNSYNCED,  /* a value's record before its bytes */
	MUTANT_LAID_UNSYNCED,    /* the same for a batch's values */
	MUTANT_REKEY_IN_LOG,     /* a key rewritten whose block is in the log */
	MUTANT_REKEY_EARLY,      /* or before its record is durable */
	MUTANTS,
};

extern enum mutant mutant_on;

#define MUTANT(name) (mutant_on == MUTANT_##name)

#else
#define MUTANT(name) 0
#endif

#endif

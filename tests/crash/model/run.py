#!/usr/bin/env python3
"""Crashes the model of the commit protocol at every step; see
doc/durability.md.

    run.py [--images N] [--seconds S] [--seed K] [--no-mutants] [--world K]

Prints figures; exits 1 when a promise was broken or a mutant was not caught.
"""

import argparse
import sys
import time

from world import Count, Lost, World

ORDER = ("all", "prune", "growth", "faults", "stream", "salt", "kills",
         "packed", "trim", "rekey", "rekey_beside")

# A deliberate mistake each: flags of the engine, the workload that shows it
# soonest, and from which world on.
MUTANTS = (
    ("pointers before the fsync", "early_pointers", "all", 1),
    ("no fdatasync between in-place changes and the slot",
     "no_checkpoint_sync", "all", 2),
    ("space reused before its checkpoint", "no_reuse_checkpoint", "prune", 1),
    ("space reused with no zone declared", "no_zone", "prune", 1),
    ("record without checksum", "no_checksum", "kills", 1),
    ("timestamps not masked", "unmasked_ts", "kills", 5),
    ("next pointers not masked", "unmasked_next", "kills", 1),
    ("recovery keeps the salt and the tail", "keep_salt keep_tail", "salt", 6),
    ("redo out of order", "redo_order", "all", 1),
    ("recovery redoes before its log is durable",
     "no_recovery_sync", "kills", 3),
    ("recovery trusts pages after a failed fsync",
     "no_log_rewrite", "faults", 1),
    ("recovery trusts the header after a failed fsync",
     "no_header_rewrite",
     "header", 4),
    ("no fdatasync between redo and the new slot", "no_redo_sync", "kills", 12),
    ("no fdatasync before the clean mark", "no_clean_sync", "all", 10),
    ("append before the hot mark is durable", "no_hot_sync", "all", 1),
    ("header slot written over the valid one", "slot_in_place", "all", 1),
    ("space reused before the slot is durable", "no_slot_sync", "prune", 3),
    ("a slot that tells of what is committed beside it", "slot_ahead",
     "stream", 10),
    ("changes in place whose record was not synced", "later_too", "beside", 1),
    ("a sync of a part that leaves out what was committed beside the last",
     "range_ahead", "beside", 1),
    ("streamed bytes not durable before their record",
     "no_stream_sync", "stream", 2),
    ("a reservation's length changed in the log", "stream_in_log", "stream", 2),
    ("a longer reservation written over the log",
     "lengthened_in_log", "stream", 2),
    ("reservations' bytes under the checksum", "sum_all", "stream", 2),
    ("prune through a reservation", "prune_reserved", "tail", 5),
    ("a new index in a place that the log covers", "place_in_log", "growth", 1),
    ("a new index with dead blocks' heads in it", "heads_kept", "growth", 1),
    ("a bucket counted as moved that is not", "moved_early", "growth", 1),
    ("lookups in the old index alone", "one_index", "growth", 1),
    ("landing without a checkpoint", "land_in_log", "growth", 9),
    ("moved blocks not durable before their record",
     "no_copy_sync", "prune", 10),
    ("a zone that keeps what was moved into it", "zone_stays", "prune", 1),
    ("a moved block left alive where the zone does not take it in",
     "left_alive", "prune", 1),
    ("recovery covers a zone that the log stands in",
     "zone_in_log", "prune", 50095),
    ("recovery leaves the zone open", "zone_left", "prune", 1),
    ("recovery redoes changes over the zone's cover",
     "zone_redone", "prune", 5),
    ("space reused while somebody looks at it", "view_ignored", "prune", 2),
    ("an index brought down before it is durable",
     "down_unsynced", "packed", 1),
    ("tail cut before the slot is durable", "early_cut", "prune", 4),
    ("dead blocks merged whose death is in the log", "trim_in_log", "trim", 3),
    ("a reservation merged with dead blocks", "trim_reserved", "reserved", 1),
    ("hole punched before the merge is durable", "early_punch", "trim", 1),
    ("a key rewritten whose block is in the log", "rekey_in_log", "rekey", 1),
    ("a key rewritten where others have changed its block meanwhile",
     "rekey_beside", "rekey_beside", 1),
    ("a key rewritten before its record is durable",
     "rekey_early", "rekey", 1),
)


def honest(args):
    count, start, world = Count(), time.monotonic(), args.seed
    while count.images < args.images and (
            time.monotonic() - start < args.seconds):
        flavour = ORDER[world % len(ORDER)]
        World(world, count, (), args.rate, flavour).run(args.steps)
        world += 1
    spent = time.monotonic() - start
    print("%d crash images, %d commits, %d worlds, %.0f s" %
          (count.images, count.commits, world - args.seed, spent))
    print("  " + ", ".join("%s %d" % kv for kv in sorted(count.by.items())))


def caught(flag, flavour, seed, images):
    """Images until the mutant is caught, or None."""
    count = Count()
    while count.images < images:
        try:
            World(seed, count, flag.split(), 0.1, flavour).run(100)
        except Lost as e:
            return count.images, str(e)
        seed += 1
    return None


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--images", type=int, default=25000)
    ap.add_argument("--seconds", type=float, default=3600)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--steps", type=int, default=120, help="per world")
    ap.add_argument("--rate", type=float, default=0.2,
                    help="part of the crashes that is tried at each step")
    ap.add_argument("--no-mutants", action="store_true")
    ap.add_argument("--mutant-images", type=int, default=20000,
                    help="for each, at most")
    ap.add_argument("-v", action="store_true", help="how each was caught")
    args = ap.parse_args()
    try:
        honest(args)
    except Lost as e:
        print("BROKEN PROMISE: %s" % e)
        return 1
    if args.no_mutants:
        return 0
    missed = 0
    for name, flag, flavour, seed in MUTANTS:
        found = caught(flag, flavour, seed, args.mutant_images)
        if found is None:
            missed += 1
            print("NOT CAUGHT: %s" % name)
        else:
            print("caught after %5d images: %s" % (found[0], name))
            if args.v:
                print("    " + found[1])
        sys.stdout.flush()
    print("%d of %d mutants caught" % (len(MUTANTS) - missed, len(MUTANTS)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

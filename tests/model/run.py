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
         "packed")

# A deliberate mistake each: flags of the engine, the workload that shows it
# soonest.
MUTANTS = (
    ("pointers before the fsync", "early_pointers", "all"),
    ("no fdatasync between in-place changes and the slot",
     "no_checkpoint_sync", "all"),
    ("space reused before its checkpoint", "no_reuse_checkpoint", "prune"),
    ("space reused with no zone declared", "no_zone", "prune"),
    ("record without checksum", "no_checksum", "kills"),
    ("timestamps not masked", "unmasked_ts", "kills"),
    ("renameable header not masked", "unmasked_soft", "all"),
    ("recovery keeps the salt and the tail", "keep_salt", "salt"),
    ("redo out of order", "redo_order", "all"),
    ("recovery redoes before its log is durable", "no_recovery_sync", "kills"),
    ("recovery trusts pages after a failed fsync", "no_log_rewrite", "faults"),
    ("recovery trusts the header after a failed fsync", "no_header_rewrite",
     "faults"),
    ("no fdatasync between redo and the new slot", "no_redo_sync", "kills"),
    ("no fdatasync before the clean mark", "no_clean_sync", "all"),
    ("append before the hot mark is durable", "no_hot_sync", "all"),
    ("header slot written over the valid one", "slot_in_place", "all"),
    ("space reused before the slot is durable", "no_slot_sync", "all"),
    ("streamed bytes not durable before their record", "no_stream_sync",
     "stream"),
    ("moved blocks not durable before their record", "no_copy_sync", "prune"),
    ("unmoved new index not refilled", "no_refill", "packed"),
    ("new index written before its record is durable", "early_index", "packed"),
    ("hole punched before the merge is durable", "early_punch", "prune"),
    ("tail cut before the slot is durable", "early_cut", "prune"),
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


def caught(flag, flavour, seed, seconds):
    """Images until the mutant is caught, or None."""
    count, start = Count(), time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            World(seed, count, (flag,), 0.3, flavour).run(80)
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
    ap.add_argument("--mutant-seconds", type=float, default=30)
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
    for name, flag, flavour in MUTANTS:
        found = caught(flag, flavour, args.seed, args.mutant_seconds)
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

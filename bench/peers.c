#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_blt, peer_blt_growing, peer_blt_lmdb, peer_lmdb,
	peer_tkrzw, peer_tokyo, peer_gdbm, peer_sqlite;

const struct peer *const peers[] = {
	&peer_blt,      &peer_blt_growing,
#ifdef WITH_LMDB
	&peer_blt_lmdb, &peer_lmdb,
#endif
#ifdef WITH_TKRZW
	&peer_tkrzw,
#endif
#ifdef WITH_TOKYO
	&peer_tokyo,
#endif
#ifdef WITH_GDBM
	&peer_gdbm,
#endif
#ifdef WITH_SQLITE
	&peer_sqlite,
#endif
};
const size_t n_peers = sizeof(peers) / sizeof(peers[0]);

void peer_must(bool what, const char *text)
{
	if (what)
		return;
	fprintf(stderr, "bench: %s\n", text);
	exit(1);
}

void peer_touch(const void *value, size_t len)
{
	static char to[PEER_VALUE_MAX];

	memcpy(to, value, len < sizeof(to) ? len : sizeof(to));
	/* The compiler may not leave the copy out. */
	__asm__ volatile("" : : "r"(to) : "memory");
}

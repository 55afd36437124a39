#include "postgres/pg_sql.h"

#include <stddef.h>

/* What a row tells of a value without the value itself. */
#define FACTS "k, len, mtime, ver"

/* A put keeps the rights that the key had. */
#define PUT_FROM                                                          \
	"insert into bltfs.kv (store, k, len, mtime, ver, blob, v) "      \
	"select $1, k, len, mtime, ver, blob, v from unnest($2::bytea[]," \
	" $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::bytea[])"   \
	" u(k, len, mtime, ver, blob, v)"

const struct pg_sql pg_sql[PG__STATEMENTS] = {
	[PG_BEGIN] = { "bltfs_begin", "begin isolation level read committed" },
	[PG_BEGIN_SERIAL] = { "bltfs_begin_serial",
			      "begin isolation level serializable" },
	[PG_BEGIN_SNAPSHOT] = { "bltfs_begin_snapshot",
				"begin isolation level repeatable read "
				"read only" },
	[PG_COMMIT] = { "bltfs_commit", "commit" },

	[PG_OPEN] = { NULL, "select id, version, created from bltfs.store "
			    "where name = $1::text" },
	[PG_NAME] = { NULL,
		      "insert into bltfs.store (id, name, version, created) "
		      "values ($1::int8, $2::text, $3::int4, $4::int8)" },
	[PG_NAME_OF] = { NULL, "select name from bltfs.store where "
			       "id = $1::int8" },
	[PG_RENAME_STORE] = { NULL, "update bltfs.store set name = $2::text "
				    "where name = $1::text" },
	[PG_UNNAME] = { NULL, "delete from bltfs.store where id = $1::int8" },
	[PG_LEFT] = { NULL, "select id from bltfs.store where name like '~%' "
			    "and created < $1::int8" },
	[PG_LEFT_UNNAME] = { NULL, "delete from bltfs.store where "
				   "id = $1::int8 and name like '~%'" },
	[PG_DONE_LATELY] = { NULL, "select count(*) from bltfs.done where "
				   "store = $1::int8 and at > now() - "
				   "interval '1 hour'" },
	/* A count to a million, and the server's estimate. */
	[PG_FACTS] = { "bltfs_facts",
		       "select (select count(*) from (select 1 from bltfs.kv "
		       "where store = $1::int8 limit 1000000) q), "
		       "(select reltuples::int8 from pg_class where oid = "
		       "to_regclass('bltfs.kv')), "
		       "coalesce(pg_total_relation_size("
		       "to_regclass('bltfs.kv')), 0)::int8" },

	[PG_GET] = { "bltfs_get", "select " FACTS ", blob, v from bltfs.kv "
				  "where store = $1::int8 and k = $2::bytea" },
	[PG_PART] = { "bltfs_part",
		      "select " FACTS ", blob, substring(v from $3::int4 for "
		      "$4::int4) from bltfs.kv "
		      "where store = $1::int8 and k = $2::bytea" },
	[PG_STAT] = { "bltfs_stat",
		      "select " FACTS " from bltfs.kv "
		      "where store = $1::int8 and k = $2::bytea" },
	[PG_GET_MANY] = { "bltfs_get_many",
			  "select " FACTS ", blob, v from bltfs.kv "
			  "where store = $1::int8 and k = any($2::bytea[])" },
	[PG_PAGE] = { "bltfs_page",
		      "select " FACTS " from bltfs.kv where store = $1::int8 "
		      "and k >= $2::bytea and k < $3::bytea order by k "
		      "limit $4::int8" },
	/* Longer values are asked for one by one. */
	[PG_PAGE_VALUES] = { "bltfs_page_values",
			     "select " FACTS ", blob, case when len <= "
			     "$5::int8 then v end from bltfs.kv "
			     "where store = $1::int8 and k >= $2::bytea "
			     "and k < $3::bytea order by k limit $4::int8" },
	/* The names of a directory whose prefix is $5 bytes long: from each
	 * key on to the first behind the key, or behind the directory that it
	 * is in ('0' comes behind '/'). */
	[PG_NAMES] = { "bltfs_names",
		       "with recursive n as (("
		       "select " FACTS " from bltfs.kv where store = $1::int8 "
		       "and k >= $2::bytea and k < $3::bytea order by k limit 1) "
		       "union all select m.k, m.len, m.mtime, m.ver from n, lateral ("
		       "select " FACTS
		       " from bltfs.kv b where b.store = $1::int8 "
		       "and b.k >= case position('\\x2f'::bytea in "
		       "substring(n.k from $5::int4 + 1)) when 0 then n.k || "
		       "'\\x00'::bytea else substring(n.k from 1 for $5::int4 - 1 + "
		       "position('\\x2f'::bytea in substring(n.k from $5::int4 + 1)))"
		       " || '\\x30'::bytea end and b.k < $3::bytea order by b.k "
		       "limit 1) m) select " FACTS " from n limit $4::int8" },
	/* n names at once: the file of each, and the first key of the
	 * directory. */
	[PG_LOOK] = { "bltfs_look",
		      "select q.i, f.len, f.mtime, f.ver, d.k, d.len, d.mtime "
		      "from unnest($2::int4[], $3::bytea[], $4::bytea[], "
		      "$5::bytea[]) q(i, k, lo, hi) "
		      "left join bltfs.kv f on f.store = $1::int8 "
		      "and f.k = q.k left join lateral (select b.k, b.len, "
		      "b.mtime from bltfs.kv b where b.store = $1::int8 and "
		      "b.k >= q.lo and b.k < q.hi order by b.k limit 1) d "
		      "on true" },

	[PG_CHUNKS] = { "bltfs_chunks",
			"select n, v from bltfs.chunk where blob = $1::int8 "
			"and n >= $2::int4 and n < $3::int4 order by n" },

	[PG_DONE] = { "bltfs_done", "insert into bltfs.done (store, id) "
				    "values ($1::int8, $2::int8)" },
	/* A commit behind it waits for the standbys, as the first one may not
	 * have. */
	[PG_DONE_AGAIN] = { NULL, "update bltfs.done set at = now() where "
				  "store = $1::int8 and id = $2::int8" },
	[PG_DONE_FENCE] = { NULL, "insert into bltfs.done (store, id) "
				  "select $1::int8, id from "
				  "unnest($2::int8[]) u(id) "
				  "on conflict (store, id) do nothing" },
	[PG_DONE_DROP] = { "bltfs_done_drop",
			   "delete from bltfs.done where store = $1::int8 "
			   "and id = any($2::int8[])" },
	[PG_DONE_SWEEP] = { NULL, "delete from bltfs.done where "
				  "store = $1::int8 and at < now() - "
				  "interval '1 day'" },

	[PG_DONE_CLEAR] = { NULL, "delete from bltfs.done where "
				  "store = $1::int8" },

	[PG_PUT] = { "bltfs_put",
		     PUT_FROM " on conflict (store, k) do update set "
			      "len = excluded.len, mtime = excluded.mtime, "
			      "ver = excluded.ver, blob = excluded.blob, "
			      "v = excluded.v" },
	[PG_INSERT] = { "bltfs_insert", PUT_FROM },
	[PG_LOCK] = { "bltfs_lock",
		      "select k, mtime, ver from bltfs.kv where "
		      "store = $1::int8 and k = any($2::bytea[]) order by k "
		      "for update" },
	[PG_MOVE] = { "bltfs_move",
		      "insert into bltfs.kv (store, k, t, mode, uid, gid, "
		      "len, mtime, ver, blob, v) select s.store, u.dst, s.t, "
		      "s.mode, s.uid, s.gid, s.len, coalesce(u.at, s.mtime), "
		      "s.ver, s.blob, s.v from unnest($2::bytea[], "
		      "$3::bytea[], $4::int8[]) u(src, dst, at) join bltfs.kv "
		      "s on s.store = $1::int8 and s.k = u.src "
		      "on conflict (store, k) do update set t = excluded.t, "
		      "mode = excluded.mode, uid = excluded.uid, "
		      "gid = excluded.gid, len = excluded.len, "
		      "mtime = excluded.mtime, ver = excluded.ver, "
		      "blob = excluded.blob, v = excluded.v" },
	[PG_TOUCH] = { "bltfs_touch",
		       "update bltfs.kv set mtime = u.at from "
		       "unnest($2::bytea[], $3::int8[]) u(k, at) where "
		       "kv.store = $1::int8 and kv.k = u.k" },
	[PG_DROP] = { "bltfs_drop",
		      "delete from bltfs.kv where store = $1::int8 "
		      "and k = any($2::bytea[])" },

	[PG_CHUNK_PUT] = { "bltfs_chunk_put",
			   "insert into bltfs.chunk (blob, n, v) "
			   "values ($1::int8, $2::int4, $3::bytea) "
			   "on conflict (blob, n) do update set "
			   "v = excluded.v" },
	[PG_CHUNK_CUT] = { "bltfs_chunk_cut",
			   "delete from bltfs.chunk where blob = $1::int8 "
			   "and n >= $2::int4" },
	[PG_CHUNK_SUM] = { "bltfs_chunk_sum",
			   "select count(*), coalesce(sum(length(v)), 0)::int8"
			   " from bltfs.chunk where blob = $1::int8" },
	[PG_CHUNK_ORPHANS] = { NULL,
			       "select distinct blob from bltfs.chunk "
			       "where blob < $1::int8 except select blob from "
			       "bltfs.kv where blob is not null" },
	[PG_CHUNK_DROP] = { NULL, "delete from bltfs.chunk "
				  "where blob = $1::int8" },

	[PG_NOTE_ALL] = { NULL, "select name, v from bltfs.note "
				"where store = $1::int8 order by name" },
	[PG_NOTE_LOCK] = { "bltfs_note_lock",
			   "select name, v from bltfs.note where "
			   "store = $1::int8 and name = any($2::bytea[]) "
			   "order by name for update" },
	[PG_NOTE_INSERT] = { "bltfs_note_insert",
			     "insert into bltfs.note (store, name, v) values "
			     "($1::int8, $2::bytea, $3::bytea)" },
	[PG_NOTE_PUT] = { "bltfs_note_put",
			  "update bltfs.note set v = $3::bytea where "
			  "store = $1::int8 and name = $2::bytea" },
	[PG_NOTE_DROP] = { "bltfs_note_drop",
			   "delete from bltfs.note where store = $1::int8 "
			   "and name = $2::bytea" },

	[PG_COUNT] = { NULL, "select count(*), coalesce(sum(len), 0)::int8, "
			     "coalesce(sum(length(k)), 0)::int8 from bltfs.kv "
			     "where store = $1::int8" },
	[PG_OLD] = { NULL, "select k, ver from bltfs.kv where store = $1::int8 "
			   "and mtime < $2::int8 and k > $3::bytea and not "
			   "(len = 0 and substring(k from length(k)) = "
			   "'\\x2f'::bytea) order by k limit $4::int8" },
	/* So many at a time that a server is done with them in the URL's
	 * timeo. */
	[PG_CLEAR] = { NULL, "delete from bltfs.kv where store = $1::int8 "
			     "and k in (select k from bltfs.kv where "
			     "store = $1::int8 order by k limit 10000)" },
	[PG_CLEAR_NOTES] = { NULL,
			     "delete from bltfs.note where store = $1::int8" },
	/* Changes with each write; hints alone rest on it. */
	[PG_SNAPSHOT] = { "bltfs_snapshot",
			  "select pg_current_snapshot()::text" },
	/* A user without the rights of pg_monitor sees no standby's state. */
	[PG_DURABLE] = { NULL,
			 "select current_setting('fsync') = 'on', "
			 "current_setting('synchronous_commit') <> 'off', "
			 "current_setting('synchronous_commit') <> 'local' "
			 "and current_setting('synchronous_standby_names') "
			 "<> '', (select count(*) from pg_stat_replication "
			 "where sync_state in ('sync', 'quorum')), "
			 "(select count(*) from pg_stat_replication "
			 "where sync_state = 'async')" },
};

const char *const pg_schema[] = {
	"create schema if not exists bltfs",
	"create table if not exists bltfs.store (id bigint primary key, "
	"name text not null unique, version int not null, "
	"created bigint not null)",
	"create table if not exists bltfs.kv (store bigint not null, "
	"k bytea not null, t smallint not null default 0, mode int, uid int, "
	"gid int, len bigint not null default 0, mtime bigint not null, "
	"ver bigint not null, blob bigint, v bytea, primary key (store, k))",
	"create unique index if not exists kv_list on bltfs.kv (store, k) "
	"include (t, len, mtime, ver)",
	"create table if not exists bltfs.chunk (blob bigint not null, "
	"n int not null, v bytea not null, primary key (blob, n))",
	"create table if not exists bltfs.done (store bigint not null, "
	"id bigint not null, at timestamptz not null default now(), "
	"primary key (store, id))",
	"create table if not exists bltfs.note (store bigint not null, "
	"name bytea not null, v bytea not null, primary key (store, name))",
	NULL,
};

#define SPREAD(table, rest)                                             \
	"select create_distributed_table('bltfs." table "', " rest ") " \
	"where not exists (select 1 from pg_dist_partition where "      \
	"logicalrelid = 'bltfs." table "'::regclass)"

const char *const pg_schema_citus[] = {
	SPREAD("kv", "'store', shard_count => 32"),
	SPREAD("done", "'store', colocate_with => 'bltfs.kv'"),
	SPREAD("note", "'store', colocate_with => 'bltfs.kv'"),
	SPREAD("chunk", "'blob', shard_count => 32, colocate_with => 'none'"),
	NULL,
};

const char *const pg_schema_extra[] = {
	/* What is stored is often compressed already, and is read in parts. */
	"alter table bltfs.chunk alter column v set storage external",
	"alter table bltfs.kv alter column v set storage external",
	NULL,
};

/* map_text.h - a key as text, for a command's environment, a glob and a key
 * template.  Pure; any thread.
 */
#ifndef BLT_MAP_TEXT_H
#define BLT_MAP_TEXT_H

#include <stddef.h>

#define MAP_TEXT_ROOM (3 * 65535 + 1)

/* The number of an integer key (of another length: %x and hex digits), any
 * other key as it is, but for NUL: %00.  Writes to to, of MAP_TEXT_ROOM bytes,
 * with a NUL behind it.  The length, or -ENAMETOOLONG. */
int map_text(unsigned serializer, const void *key, size_t len, char *to);

/* A new key by a template, whose fields stand for parts of the key's text:
 *
 *   {key}   all of it                   a/b/c.tar.gz
 *   {dir}   what stands before the      a/b
 *           last '/'; where there is none, nothing, and a '/' behind the
 *           field goes too
 *   {name}  what stands behind it       c.tar.gz
 *   {stem}  that without {ext}          c.tar
 *   {ext}   from its last '.' on, unless it begins with that; else nothing
 *                                       .gz
 *   {{ }}   a brace
 *
 * The length of what stands in to (of room bytes), or -ENAMETOOLONG. */
int map_template(const char *template, const char *text, char *to, size_t room);

/* 0, or -EINVAL: a template with another field, or with a lone brace. */
int map_template_check(const char *template);

#endif

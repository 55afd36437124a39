/* tool_tree.c - trees of files: what all who read or write one share. */
#include "tool/tool_tree.h"

#include <archive.h>
#include <string.h>

bool tree_is_about(const char *path)
{
	return !strcmp(path, TREE_LONG_PATH) || !strcmp(path, TREE_SEQ_PATH);
}

bool tree_takes_links(struct blt *store)
{
	struct blt_info info;
	const char *kind;

	blt_get_info(store, &info);
	kind = blt_serializer_name(info.value_serializer);
	return info.value_len == 0 && kind &&
	       (!strcmp(kind, "bytes") || !strcmp(kind, "str"));
}

/* ---- tar streams ---- */

char *tree_clean_path(char *path)
{
	size_t len;

	while (!strncmp(path, "./", 2))
		path += 2 + strspn(path + 2, "/");
	if (*path == '/')
		return NULL;
	len = strlen(path);
	while (len && path[len - 1] == '/')
		path[--len] = '\0';
	if (!strcmp(path, "."))
		*path = '\0';
	for (const char *p = path; *p; p += strspn(p, "/")) {
		len = strcspn(p, "/");
		if (len == 2 && !strncmp(p, "..", 2))
			return NULL;
		p += len;
	}
	return path;
}

/* No filter that would run a program, and no format but tar: what an archive
 * says it is must not choose what is done. */
struct archive *tree_tar_reader(void)
{
	struct archive *a = archive_read_new();

	if (!a)
		return NULL;
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_compress(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_lzip(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_tar(a);
	return a;
}

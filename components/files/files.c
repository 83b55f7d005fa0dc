/* A filesystem tool: read, write, list, search, info.

   Decides nothing: a path goes to the host as it came, below the mounted directory with the longest matching name, and the
   host's error comes back by its WASI name. World: wit/world.wit. Build: `make -C components/files`. */
#include "wasi.h"

enum { CHUNK = 1 << 16, MAX_MATCHES = 1000, MAX_DEPTH = 32, MAX_LINE = 200 };
enum { KIND_FILE, KIND_DIRECTORY, KIND_SYMBOLIC_LINK, KIND_OTHER };
enum { TYPE_DIRECTORY = 3, TYPE_SYMBOLIC_LINK = 5, TYPE_REGULAR_FILE = 6 };

typedef struct { s32 handle; text name; } mount;
typedef struct { text name; u8 kind; } entry;
typedef struct { text path; u32 line; text text; } match;
typedef struct { s32 directory; text rest; } place;

static area scratch, result;

static u8 kind_of(u8 type) {
  if (type == TYPE_REGULAR_FILE) return KIND_FILE;
  if (type == TYPE_DIRECTORY) return KIND_DIRECTORY;
  return type == TYPE_SYMBOLIC_LINK ? KIND_SYMBOLIC_LINK : KIND_OTHER;
}

/* --- results: the payload lies at 4, or at 8 where it holds a u64 --- */
static void *fails(u32 at, const char *verb, text path, text why) {
  text message = join(join(join(T("cannot "), T(verb)), join(T(" `"), path)), join(T("`: "), why));
  result.b[0] = 1;
  *(text *)(result.b + at) = message;
  return &result;
}
static void *gives(u32 at, const void *list_at, u32 count) {
  result.b[0] = 0;
  *(text *)(result.b + at) = (text){list_at, count};
  return &result;
}

/* --- paths --- */
static int below(text path, text name) {
  if (!begins(path, name)) return 0;
  return name.size == 1 || path.size == name.size || path.at[name.size] == '/';
}

/* The mounted directory with the longest name above `path`; a relative path is taken from `/`. */
static int locate(text path, place *found) {
  text absolute = path.size && path.at[0] == '/' ? path : join(T("/"), path);
  fs_preopens(&scratch);
  mount *mounts = (mount *)scratch.w[0];
  int best = -1;
  for (u32 i = 0, n = scratch.w[1]; i < n; i++)
    if (below(absolute, mounts[i].name) && (best < 0 || mounts[i].name.size > mounts[best].name.size)) best = (int)i;
  if (best < 0) return 0;
  text rest = {absolute.at + mounts[best].name.size, absolute.size - mounts[best].name.size};
  while (rest.size && rest.at[0] == '/') rest.at++, rest.size--;
  *found = (place){mounts[best].handle, rest.size ? rest : T(".")};
  return 1;
}

/* Opens `path`: the handle, or -1 with the reason. */
static s32 open_path(text path, s32 how, s32 flags, text *why) {
  place at;
  if (!locate(path, &at)) return *why = T("no-entry: no directory is mounted above it"), -1;
  fs_open(at.directory, SYMLINK_FOLLOW, at.rest.at, at.rest.size, how, flags, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), -1;
  return (s32)scratch.w[1];
}

/* --- contents --- */

/* Reads an open file to its end. An end of stream is `closed` (case 1); any other stream error is the file's. */
static int slurp(s32 file, text *out, text *why) {
  fs_read_stream(file, 0, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  u8 *whole = take(0);
  u32 size = 0;
  for (;;) {
    io_read(stream, CHUNK, &scratch);
    if (scratch.b[0]) break;
    /* The host allocated the piece just behind what we have: unless something lay between, this moves nothing. */
    u8 *piece = (u8 *)scratch.w[1];
    u32 length = scratch.w[2];
    if (whole + size != piece) {
      whole = cabi_realloc(whole, size, 1, size + length);
      memcpy(whole + size, piece, length);
    }
    size += length;
  }
  int closed = scratch.b[4] == 1;
  io_drop_input(stream);
  *out = (text){(char *)whole, size};
  return closed ? 1 : (*why = T("io"), 0);
}

static int spill(s32 file, text content, text *why) {
  fs_write_stream(file, 0, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  int written = 1;
  for (u32 at = 0; at < content.size && written; at += 4096) { /* blocking-write-and-flush takes 4096 bytes at most */
    u32 left = content.size - at;
    io_write_flush(stream, content.at + at, left < 4096 ? left : 4096, &scratch);
    written = !scratch.b[0];
  }
  io_drop_output(stream);
  return written ? 1 : (*why = T("io: the file could not take all of it"), 0);
}

/* --- the tools --- */
EXPORT("read") void *tool_read(const char *at, u32 size) {
  text path = {at, size};
  text why, content;
  s32 file = open_path(path, 0, FLAG_READ, &why);
  if (file < 0) return fails(4, "read", path, why);
  int whole = slurp(file, &content, &why);
  fs_drop(file);
  if (!whole) return fails(4, "read", path, why);
  if (!is_utf8(content)) return fails(4, "read", path, T("illegal-byte-sequence: not UTF-8 text"));
  return gives(4, content.at, content.size);
}

EXPORT("write") void *tool_write(const char *at, u32 size, const char *content_at, u32 content_size) {
  text path = {at, size}, content = {content_at, content_size};
  text why;
  s32 file = open_path(path, OPEN_CREATE | OPEN_TRUNCATE, FLAG_WRITE, &why);
  if (file < 0) return fails(8, "write", path, why);
  int whole = spill(file, content, &why);
  fs_drop(file);
  if (!whole) return fails(8, "write", path, why);
  result.b[0] = 0;
  result.d[1] = content.size;
  return &result;
}

static int comes_before(text a, text b) {
  for (u32 i = 0; i < a.size && i < b.size; i++)
    if (a.at[i] != b.at[i]) return (u8)a.at[i] < (u8)b.at[i];
  return a.size < b.size;
}

static void sort(entry *all, u32 count) {
  for (u32 gap = count / 2; gap; gap /= 2)
    for (u32 i = gap; i < count; i++) {
      entry one = all[i];
      u32 j = i;
      for (; j >= gap && comes_before(one.name, all[j - gap].name); j -= gap) all[j] = all[j - gap];
      all[j] = one;
    }
}

static int entries_of(s32 directory, list *out, text *why) {
  fs_read_directory(directory, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  for (;;) {
    fs_entry(stream, &scratch);
    if (scratch.b[0] || !scratch.b[4]) break;
    entry *one = push(out, sizeof *one);
    *one = (entry){{(char *)scratch.w[3], scratch.w[4]}, kind_of(scratch.b[8])};
  }
  int whole = !scratch.b[0];
  if (!whole) *why = fs_error(scratch.b[4]);
  fs_drop_entries(stream);
  sort((entry *)out->at, out->count);
  return whole;
}

EXPORT("list") void *tool_list(const char *at, u32 size) {
  text path = {at, size};
  text why;
  list entries = {0};
  s32 directory = open_path(path, OPEN_DIRECTORY, FLAG_READ, &why);
  if (directory < 0) return fails(4, "list", path, why);
  int whole = entries_of(directory, &entries, &why);
  fs_drop(directory);
  return whole ? gives(4, entries.at, entries.count) : fails(4, "list", path, why);
}

static int holds(text line, text needle) {
  for (u32 i = 0; i + needle.size <= line.size; i++)
    if (same((text){line.at + i, needle.size}, needle)) return 1;
  return 0;
}

/* At most MAX_LINE bytes of a line, cut between two characters. */
static text cut(text line) {
  u32 size = 0;
  while (size < line.size) {
    u32 n = utf8_at((const u8 *)line.at + size, line.size - size);
    if (!n || size + n > MAX_LINE) break;
    size += n;
  }
  return (text){line.at, size};
}

static void search_text(text path, text content, text needle, list *found) {
  u32 line = 1, start = 0;
  for (u32 i = 0; i <= content.size && found->count < MAX_MATCHES; i++) {
    if (i < content.size && content.at[i] != '\n') continue;
    text one = {content.at + start, i - start};
    if (one.size && holds(one, needle)) *(match *)push(found, sizeof(match)) = (match){path, line, cut(one)};
    line++, start = i + 1;
  }
}

static void search_tree(s32 at, text path, text needle, u32 depth, list *found);

/* One name of a directory: what cannot be opened or read is left out. */
static void search_entry(s32 directory, text path, entry one, text needle, u32 depth, list *found) {
  if (one.kind != KIND_FILE && one.kind != KIND_DIRECTORY) return;
  fs_open(directory, 0, one.name.at, one.name.size, one.kind == KIND_DIRECTORY ? OPEN_DIRECTORY : 0, FLAG_READ, &scratch);
  if (scratch.b[0]) return;
  s32 handle = (s32)scratch.w[1];
  text below_it = join(path.at[path.size - 1] == '/' ? path : join(path, T("/")), one.name), content, why;
  if (one.kind == KIND_DIRECTORY) search_tree(handle, below_it, needle, depth + 1, found);
  else if (slurp(handle, &content, &why) && is_utf8(content)) search_text(below_it, content, needle, found);
  fs_drop(handle);
}

static void search_tree(s32 at, text path, text needle, u32 depth, list *found) {
  list entries = {0};
  text why;
  if (depth > MAX_DEPTH || !entries_of(at, &entries, &why)) return;
  for (u32 i = 0; i < entries.count && found->count < MAX_MATCHES; i++)
    search_entry(at, path, ((entry *)entries.at)[i], needle, depth, found);
}

EXPORT("search") void *tool_search(const char *at, u32 size, const char *needle_at, u32 needle_size) {
  text path = {at, size}, needle = {needle_at, needle_size}, why, content;
  list found = {0};
  if (!needle.size) return fails(4, "search", path, T("invalid: the needle is empty"));
  s32 handle = open_path(path, 0, FLAG_READ, &why);
  if (handle < 0) return fails(4, "search", path, why);
  fs_type(handle, &scratch);
  int is_directory = !scratch.b[0] && scratch.b[1] == TYPE_DIRECTORY, whole = 1;
  if (is_directory) search_tree(handle, path, needle, 0, &found);
  else if ((whole = slurp(handle, &content, &why)) && is_utf8(content)) search_text(path, content, needle, &found);
  fs_drop(handle);
  return whole ? gives(4, found.at, found.count) : fails(4, "search", path, why);
}

EXPORT("info") void *tool_info(const char *path_at, u32 path_size) {
  text path = {path_at, path_size};
  place at;
  if (!locate(path, &at)) return fails(8, "look at", path, T("no-entry: no directory is mounted above it"));
  fs_stat_at(at.directory, 0, at.rest.at, at.rest.size, &scratch);
  if (scratch.b[0]) return fails(8, "look at", path, fs_error(scratch.b[8]));
  result.b[0] = 0;
  result.b[8] = kind_of(scratch.b[8]);
  result.d[2] = scratch.d[3];      /* size */
  result.b[24] = scratch.b[56];    /* data-modification-timestamp: some? */
  result.d[4] = scratch.d[8];      /* its seconds */
  return &result;
}

RELEASES("read") released_read(void *r) { (void)r; release_all(); }
RELEASES("write") released_write(void *r) { (void)r; release_all(); }
RELEASES("list") released_list(void *r) { (void)r; release_all(); }
RELEASES("search") released_search(void *r) { (void)r; release_all(); }
RELEASES("info") released_info(void *r) { (void)r; release_all(); }

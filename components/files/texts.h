/* The content of one file: read whole or by lines, write, append, edit. */
#pragma once
#include "answers.h"
#include "search.h"

enum { READ_MOST = 768 << 10, PART_MOST = 256 << 10, LINE_MOST = 4000, EDIT_MOST = 4 << 20 };

/* Opens a file to read: a directory is none. */
static s32 open_file(text path, text *why) {
  s32 file = open_path(path, 0, FLAG_READ, why);
  if (file < 0) return file;
  u8 kind;
  u64 size;
  if (measure(file, &kind, &size, why) && kind != KIND_DIRECTORY) return file;
  if (kind == KIND_DIRECTORY) *why = T("is-directory");
  fs_drop(file);
  return -1;
}

/* A text of at most `most` bytes. */
static int text_of(text path, u32 most, const char *else_do, text *out, text *why) {
  s32 file = open_file(path, why);
  if (file < 0) return 0;
  int whole = slurp(file, most + 1, out, why);
  fs_drop(file);
  if (!whole) return 0;
  if (out->size > most) return *why = join(join(T("file-too-large: it has more than "), number(most)), join(T(" bytes; "), T(else_do))), 0;
  return is_utf8(*out) ? 1 : (*why = T("illegal-byte-sequence"), 0);
}

EXPORT("read") void *tool_read(const char *at, u32 size) {
  text path = {at, size}, content, why;
  if (!text_of(path, READ_MOST, "read it in parts with `read-lines`", &content, &why)) return refuse(4, "read", path, why);
  return gives(4, content.at, content.size);
}

/* --- read-lines --- */
static struct {
  u32 first, count, line, lines, cut, size, in_line;
  int full, begun, late;
  utf8 state;
  u8 text[PART_MOST];
} part;

/* A line was cut before `next`: where that is in the middle of a character, the bytes of it that were taken go too. */
static void end_character(u8 next) {
  if ((next & 0xc0) != 0x80) return;
  while ((part.text[--part.size] & 0xc0) == 0x80) {}
}

static int eat_lines(void *self, const u8 *at, u32 size) {
  int *binary = self;
  for (u32 i = 0; i < size; i++) {
    if (!utf8_step(&part.state, at[i]) && at[i]) return *binary = 1, 0;
    int wanted = part.line >= part.first;
    if (wanted && (part.lines == part.count || part.size == PART_MOST)) return part.full = 1, 0;
    part.begun = 1;
    if (wanted && (part.in_line < LINE_MOST || at[i] == '\n')) part.text[part.size++] = at[i];
    else if (wanted && part.in_line == LINE_MOST) part.cut++, end_character(at[i]);
    part.in_line++;
    if (at[i] != '\n') continue;
    part.lines += wanted, part.line++, part.in_line = 0, part.begun = 0;
  }
  return !(part.late = is_late());
}

/* Takes back the last line where it is not whole; its number is the one to go on with. */
static void drop_unfinished(void) {
  while (part.size && part.text[part.size - 1] != '\n') part.size--;
}

static void *lines_read(void) {
  if (part.full && part.begun) drop_unfinished();
  else if (part.begun && part.line >= part.first) part.lines++;
  gives(4, part.text, part.size);
  result.w[3] = part.first, result.w[4] = part.lines, result.w[5] = part.cut;
  return option_at(24, part.full, part.first + part.lines);
}

EXPORT("read-lines") void *tool_read_lines(const char *at, u32 size, s32 has_first, u32 first, s32 has_count, u32 count) {
  text path = {at, size}, why;
  part.first = has_first ? first : 1, part.count = has_count ? count : 500;
  part.line = 1, part.lines = part.cut = part.size = part.in_line = 0, part.full = part.begun = part.late = 0;
  part.state = (utf8){0};
  if (!part.first || !part.count) return refuse(4, "read", path, T("invalid: `first` and `count` begin at 1"));
  s32 file = open_file(path, &why);
  if (file < 0) return refuse(4, "read", path, why);
  hurry(WALK_MS);
  int binary = 0, whole = pour(file, 0, eat_lines, &binary, &why);
  fs_drop(file);
  if (!whole) return refuse(4, "read", path, why);
  if (part.late) return refuse(4, "read", path, join(join(T("three seconds were up at line "), number(part.line)), T("; `search` finds places in a large file")));
  if (binary || (part.state.left && !part.full)) return refuse(4, "read", path, T("illegal-byte-sequence"));
  u32 lines = part.line - !part.begun;
  if (part.first > 1 && part.first > lines) return refuse(4, "read", path, join(T("invalid: its last line is "), number(lines)));
  return lines_read();
}

/* --- writing --- */
static void *wrote(const char *verb, text path, s32 file, int whole, u64 size, text why) {
  fs_drop(file);
  if (!whole) return refuse(8, verb, path, why);
  result.b[0] = 0;
  result.d[1] = size;
  return &result;
}

EXPORT("write") void *tool_write(const char *at, u32 size, const char *content_at, u32 content_size) {
  text path = {at, size}, content = {content_at, content_size}, why = {0, 0};
  s32 file = open_path(path, OPEN_CREATE | OPEN_TRUNCATE, FLAG_WRITE, &why);
  if (file < 0) return refuse(8, "write", path, why);
  int whole = spill_at(file, 0, content, &why);
  return wrote("write", path, file, whole, content.size, why);
}

EXPORT("append") void *tool_append(const char *at, u32 size, const char *content_at, u32 content_size) {
  text path = {at, size}, content = {content_at, content_size}, why = {0, 0};
  s32 file = open_path(path, OPEN_CREATE, FLAG_WRITE, &why);
  if (file < 0) return refuse(8, "append to", path, why);
  fs_append_stream(file, &scratch);
  int whole = spill(content, &why);
  return wrote("append to", path, file, whole, content.size, why);
}

/* How often `old` stands in `content`, each after the end of the one before; `*at` is the first. */
static u32 times_in(text content, text old, u32 *at) {
  u32 times = 0;
  for (u32 i = 0; i + old.size <= content.size;)
    if (same((text){content.at + i, old.size}, old)) *at = times++ ? *at : i, i += old.size;
    else i++;
  return times;
}

static text replaced(text content, text old, text new, u32 times) {
  text out = {take(content.size + times * new.size), 0};
  u8 *to = (u8 *)out.at;
  for (u32 i = 0; i < content.size;)
    if (times && i + old.size <= content.size && same((text){content.at + i, old.size}, old)) {
      memcpy(to + out.size, new.at, new.size);
      out.size += new.size, i += old.size, times--;
    } else to[out.size++] = (u8)content.at[i++];
  return out;
}

/* Writes from the first byte that changed, so that what is before it is safe; then sets the size. */
static int rewrite(text path, text content, u32 from, text *why) {
  s32 file = open_path(path, 0, FLAG_WRITE, why);
  if (file < 0) return 0;
  int whole = spill_at(file, from, (text){content.at + from, content.size - from}, why);
  if (whole) {
    fs_set_size(file, content.size, &scratch);
    if (scratch.b[0]) *why = fs_error(scratch.b[1]), whole = 0;
  }
  fs_drop(file);
  return whole;
}

EXPORT("edit")
void *tool_edit(const char *at, u32 size, const char *old_at, u32 old_size, const char *new_at, u32 new_size, s32 has_all, s32 all) {
  text path = {at, size}, old = {old_at, old_size}, new = {new_at, new_size}, content, why;
  u32 from = 0;
  if (!old.size) return refuse(4, "edit", path, T("invalid: `old` is empty; `append` adds text, `write` replaces all of it"));
  if (!text_of(path, EDIT_MOST, "write it anew", &content, &why)) return refuse(4, "edit", path, why);
  u32 times = times_in(content, old, &from);
  if (!times) return refuse(4, "edit", path, T("`old` does not stand there; it must be exactly as in the file, spaces and line ends included"));
  if (times > 1 && !(has_all && all))
    return refuse(4, "edit", path, join(join(T("`old` stands there "), number(times)), T(" times: give more of the text around it, or `all`")));
  if (!rewrite(path, replaced(content, old, new, times), from, &why)) return refuse(4, "edit", path, why);
  result.b[0] = 0;
  result.w[1] = times;
  return &result;
}

/* Looking for a text in files of any size: a line at a time, in memory that does not grow with them.

   Rules: a line longer than LINE_ROOM is looked at in overlapping pieces; a file with a byte that is no UTF-8, with a NUL or with a
   line longer than LINE_MOST_ROOM is binary, and what was found in it is dropped; where time ends in a file, its next line is told. */
#pragma once
#include "tree.h"

enum { LINE_ROOM = 1 << 16, LINE_MOST_ROOM = 64 << 20, NEEDLE_MOST = 4096, SHOWN = 200, CONTEXT = 60, MATCHES = 1000 };

typedef struct { text path; u32 line; text text; } match;

/* A machine for RFC 3629: how many bytes of a character are to come, and what the next one may be. */
typedef struct { u8 left, low, high; } utf8;

static int utf8_step(utf8 *s, u8 c) {
  if (s->left) {
    int fine = c >= s->low && c <= s->high;
    *s = (utf8){(u8)(s->left - 1), 0x80, 0xbf};
    return fine;
  }
  if (c < 0x80) return c != 0;
  if (c < 0xc2 || c > 0xf4) return 0;
  *s = (utf8){c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3, c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf};
  return 1;
}

static struct {
  text needle, name;
  int ignore_case;
  u32 most, resume_line;   /* lines up to this one are done already in the file to go on with, */
  u64 resume_offset;       /* and this is where the next begins */
  match all[MATCHES];
  u32 count;
  /* of the file at hand */
  text path;
  u32 line, have, slid, kept_before;
  u64 offset, line_offset; /* of the piece, of the line */
  int hit, binary, full, late;
  utf8 state;
  text shown;
  u8 buffer[LINE_ROOM];
} look;

static u8 lower(u8 c) { return c >= 'A' && c <= 'Z' ? (u8)(c + 32) : c; }

/* Where the needle begins in the buffer, or -1. */
static s32 needle_at(void) {
  const u8 *n = (const u8 *)look.needle.at;
  for (u32 i = 0; i + look.needle.size <= look.have; i++) {
    u32 j = 0;
    while (j < look.needle.size && (look.ignore_case ? lower(look.buffer[i + j]) == lower(n[j]) : look.buffer[i + j] == n[j])) j++;
    if (j == look.needle.size) return (s32)i;
  }
  return -1;
}

static int continues(u32 at) { return (look.buffer[at] & 0xc0) == 0x80; }

/* At most SHOWN bytes of the line in the buffer, around `at`, cut between two characters. */
static text around(u32 at) {
  u32 start = at > SHOWN - CONTEXT ? at - CONTEXT : 0;
  while (start && start < look.have && continues(start)) start++;
  u32 end = look.have - start > SHOWN ? start + SHOWN : look.have;
  while (end > start && end < look.have && continues(end)) end--;
  if (end > start && look.buffer[end - 1] == '\r') end--;
  return keep((text){(char *)look.buffer + start, end - start});
}

static void look_in_buffer(void) {
  s32 at = look.hit ? -1 : needle_at();
  if (at < 0) return;
  look.hit = 1;
  look.shown = around((u32)at);
}

/* The line is complete. */
static void end_line(void) {
  look_in_buffer();
  if (look.hit) {
    look.full = !look.shown.at || look.count == look.most;
    if (!look.full) look.all[look.count++] = (match){look.path, look.line, look.shown};
  }
  if (!look.full) look.line++;
  look.have = look.slid = 0, look.hit = 0;
}

/* The buffer is full in the middle of a line: its end stays, since a needle may begin in it. */
static void slide(void) {
  look_in_buffer();
  u32 stay = look.needle.size - 1;
  for (u32 i = 0; i < stay; i++) look.buffer[i] = look.buffer[look.have - stay + i];
  look.slid += look.have - stay, look.have = stay;
  look.binary = look.slid > LINE_MOST_ROOM;
}

static int eat_text(void *self, const u8 *at, u32 size) {
  (void)self;
  for (u32 i = 0; i < size && !look.full && !look.binary; i++) {
    if (!utf8_step(&look.state, at[i])) return look.binary = 1, 0;
    if (at[i] == '\n') {
      end_line();
      if (!look.full) look.line_offset = look.offset + i + 1;
    } else {
      if (look.have == LINE_ROOM) slide();
      look.buffer[look.have++] = at[i];
    }
  }
  look.offset += size;
  look.late = is_late();
  return !look.full && !look.binary && !look.late;
}

static text why_full(void) {
  if (look.late) return T("three seconds were up");
  return look.count == look.most ? T("`most` was reached") : T("the answer is full");
}

static void begin_file(text path, int again) {
  look.path = keep(path), look.kept_before = kept_size;
  look.line = again ? look.resume_line + 1 : 1, look.offset = look.line_offset = again ? look.resume_offset : 0;
  look.have = look.slid = 0, look.hit = look.binary = look.late = 0, look.state = (utf8){0};
}

/* Searches an open file: 0 where it cannot be read or is binary. */
static int search_file(s32 file, text path, int again, text *why) {
  u32 before = look.count;
  begin_file(path, again);
  if (!look.path.at) return look.full = 1;
  int whole = pour(file, look.offset, eat_text, 0, why);
  if (whole && (look.have || look.hit) && !look.full && !look.late) end_line();
  if (look.binary || (look.state.left && !look.full && !look.late)) *why = T("illegal-byte-sequence"), whole = 0;
  if (!whole) look.count = before, look.full = look.late = 0;
  if (look.count == before) kept_size = look.kept_before - path.size;
  look.full |= look.late;
  return whole;
}

/* Searches one name of a directory; what cannot be opened or read is counted and left out. */
static void visit_file(walk *w, s32 directory, text path, entry one, int again) {
  if (one.kind != KIND_FILE || (look.name.size && !fits(one.name, look.name))) return;
  text why;
  fs_open(directory, 0, one.name.at, one.name.size, 0, FLAG_READ, &scratch);
  if (scratch.b[0]) {
    w->skipped++;
    return;
  }
  s32 file = (s32)scratch.w[1];
  if (search_file(file, path, again, &why)) w->files++;
  else w->skipped++;
  fs_drop(file);
  if (!look.full) return;
  w->stopped = why_full();
  w->next = keep_last(path);
}

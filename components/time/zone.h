/* Time zones: UTC, a fixed offset, or a name whose file (TZif, RFC 9636) the host lets us read.

   Rules: a file is believed as far as it goes, and its last line (POSIX TZ) says what holds after; one that is not as RFC 9636 has it is an
   error, never a guess; names have no dots, so they lead nowhere else. */
#pragma once
#include "calendar.h"

enum { ZONE_FILE_MOST = 256 << 10, FAR = 26 * 3600 };
static const char ZONES[] = "/usr/share/zoneinfo/";

/* Of a year the day when a rule begins: Mm.w.d, Jn (29 February is never counted) or n; and seconds after midnight. */
typedef struct { char kind; s32 month, week, day, seconds; } turn;
typedef struct { text std, dst; s32 std_offset, dst_offset; turn from, to; int has_dst; } posix;

typedef struct {
  text name;
  s32 fixed;             /* where there is no file */
  const u8 *times, *types, *kinds;
  const char *names;
  u32 time_count, kind_count, name_size;
  posix after;
  int has_file, has_after;
} zone;

typedef struct { s32 offset; text abbreviation; } shown;

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* --- the POSIX TZ string --- */
typedef struct { const char *at, *end; int bad; } reader;

static int next_is(reader *r, char c) { return r->at < r->end && *r->at == c && (r->at++, 1); }

static s32 read_digits(reader *r, u32 least, u32 most) {
  s32 n = 0;
  u32 i = 0;
  for (; i < most && r->at < r->end && is_digit(*r->at); i++) n = n * 10 + (*r->at++ - '0');
  r->bad |= i < least;
  return n;
}
/* [+-]h[h[h]][:mm[:ss]] in seconds */
static s32 read_clock(reader *r) {
  int minus = next_is(r, '-');
  if (!minus) next_is(r, '+');
  s32 n = read_digits(r, 1, 3) * 3600;
  if (next_is(r, ':')) n += read_digits(r, 2, 2) * 60;
  if (next_is(r, ':')) n += read_digits(r, 2, 2);
  return minus ? -n : n;
}
static text read_name(reader *r) {
  int quoted = next_is(r, '<');
  const char *from = r->at;
  while (r->at < r->end && (quoted ? *r->at != '>' : is_letter(*r->at))) r->at++;
  text name = {from, (u32)(r->at - from)};
  r->bad |= name.size < 3 || (quoted && !next_is(r, '>'));
  return name;
}
static turn read_turn(reader *r) {
  turn t = {'0', 0, 0, 0, 7200};
  if (!next_is(r, ',')) r->bad = 1;
  if (next_is(r, 'M')) {
    t.kind = 'M', t.month = read_digits(r, 1, 2), r->bad |= !next_is(r, '.');
    t.week = read_digits(r, 1, 1), r->bad |= !next_is(r, '.');
    t.day = read_digits(r, 1, 1);
    r->bad |= t.month < 1 || t.month > 12 || t.week < 1 || t.week > 5 || t.day > 6;
  } else {
    if (next_is(r, 'J')) t.kind = 'J';
    t.day = read_digits(r, 1, 3);
    r->bad |= t.day > 365 || (t.kind == 'J' && !t.day);
  }
  if (next_is(r, '/')) t.seconds = read_clock(r);
  return t;
}
static int read_posix(text line, posix *out) {
  reader r = {line.at, line.at + line.size, 0};
  out->std = read_name(&r);
  out->std_offset = -read_clock(&r);
  out->has_dst = r.at < r.end;
  if (out->has_dst) {
    out->dst = read_name(&r);
    out->dst_offset = r.at < r.end && *r.at != ',' ? -read_clock(&r) : out->std_offset + 3600;
    out->from = read_turn(&r), out->to = read_turn(&r);
  }
  return !r.bad && r.at == r.end;
}

/* The local second of `year` at which a rule begins. */
static s64 turn_in(turn t, s64 year) {
  s64 first = days_of(year, 1, 1);
  if (t.kind == '0') return (first + t.day) * DAY + t.seconds;
  if (t.kind == 'J') return (first + t.day - 1 + (is_leap(year) && t.day >= 60)) * DAY + t.seconds;
  s64 month = days_of(year, t.month, 1);
  s64 day = floor_mod(t.day - (month + 4), 7) + 7 * (t.week - 1); /* 1970-01-01 was a Thursday */
  while (day >= month_days(year, t.month)) day -= 7;
  return (month + day) * DAY + t.seconds;
}
static shown posix_at(const posix *p, s64 seconds) {
  shown std = {p->std_offset, p->std}, dst = {p->dst_offset, p->dst};
  if (!p->has_dst) return std;
  s64 year = civil_of(seconds + p->std_offset).year;
  s64 from = turn_in(p->from, year) - p->std_offset, to = turn_in(p->to, year) - p->dst_offset;
  return (from < to ? seconds >= from && seconds < to : seconds >= from || seconds < to) ? dst : std;
}

/* --- TZif --- */
static u64 big(const u8 *at, u32 bytes) {
  u64 n = 0;
  for (u32 i = 0; i < bytes; i++) n = n << 8 | at[i];
  return n;
}

typedef struct { u32 utc, standard, leap, times, kinds, names; } counts;

static int read_counts(text file, u32 at, counts *c) {
  const u8 *h = (const u8 *)file.at + at;
  if (file.size < at + 44 || !same((text){file.at + at, 4}, T("TZif"))) return 0;
  *c = (counts){(u32)big(h + 20, 4), (u32)big(h + 24, 4), (u32)big(h + 28, 4), (u32)big(h + 32, 4), (u32)big(h + 36, 4), (u32)big(h + 40, 4)};
  return c->times < 65536 && c->kinds && c->kinds < 256 && c->names < 65536 && c->leap < 65536 && c->utc < 256 && c->standard < 256;
}
static u32 body_size(counts c, u32 wide) { return c.times * (wide + 1) + c.kinds * 6 + c.names + c.leap * (wide + 4) + c.standard + c.utc; }

static int indices_hold(const zone *z) {
  for (u32 i = 0; i < z->time_count; i++)
    if (z->types[i] >= z->kind_count) return 0;
  for (u32 i = 0; i < z->kind_count; i++)
    if (z->kinds[i * 6 + 5] >= z->name_size) return 0;
  return z->name_size && !z->names[z->name_size - 1];
}

/* Understands a file of version 2 or later: the second part of it, and its last line. */
static int read_tzif(text file, zone *z) {
  counts c;
  if (!read_counts(file, 0, &c) || file.at[4] < '2') return 0;
  u32 at = 44 + body_size(c, 4);
  if (!read_counts(file, at, &c)) return 0;
  at += 44;
  u32 end = at + body_size(c, 8);
  if (end >= file.size || file.at[end] != '\n' || file.at[file.size - 1] != '\n') return 0;
  const u8 *body = (const u8 *)file.at + at;
  z->times = body, z->types = body + c.times * 8, z->kinds = z->types + c.times, z->names = (const char *)z->kinds + c.kinds * 6;
  z->time_count = c.times, z->kind_count = c.kinds, z->name_size = c.names;
  text line = {file.at + end + 1, file.size - end - 1};
  if (line.size) line.size--;
  z->has_file = 1, z->has_after = line.size != 0;
  return indices_hold(z) && (!line.size || read_posix(line, &z->after));
}

static shown kind_shown(const zone *z, u32 kind) {
  const u8 *k = z->kinds + kind * 6;
  return (shown){(s32)(u32)big(k, 4), T(z->names + k[5])};
}

/* What the zone's clocks show at a moment. */
static shown shown_at(const zone *z, s64 seconds) {
  if (!z->has_file) return (shown){z->fixed, z->fixed || !same(z->name, T("UTC")) ? (text){0, 0} : T("UTC")};
  u32 low = 0, high = z->time_count; /* transitions at or before the moment */
  while (low < high) {
    u32 middle = (low + high) / 2;
    if ((s64)big(z->times + middle * 8, 8) <= seconds) low = middle + 1;
    else high = middle;
  }
  int after = !z->time_count || seconds > (s64)big(z->times + (z->time_count - 1) * 8, 8);
  if (after && z->has_after) return posix_at(&z->after, seconds);
  return kind_shown(z, low ? z->types[low - 1] : 0);
}

/* --- by name --- */

/* `Z`, `+02:00`, `+0200` or `+02`; 0 where it is no offset. */
static int read_offset(text t, s32 *out) {
  if (same(t, T("Z")) || same(t, T("z"))) return *out = 0, 1;
  if (t.size < 3 || (t.at[0] != '+' && t.at[0] != '-')) return 0;
  reader r = {t.at + 1, t.at + t.size, 0};
  s32 hours = read_digits(&r, 2, 2), minutes = 0;
  int colon = next_is(&r, ':');
  if (colon || r.at < r.end) minutes = read_digits(&r, 2, 2);
  if (r.bad || r.at != r.end || hours > 23 || minutes > 59) return 0;
  *out = (hours * 60 + minutes) * (t.at[0] == '-' ? -60 : 60);
  return 1;
}

static int is_zone_name(text t) {
  int fine = t.size && t.size <= 64 && is_letter(t.at[0]);
  for (u32 i = 0; i < t.size; i++) {
    char c = t.at[i];
    fine &= is_letter(c) || is_digit(c) || c == '_' || c == '+' || c == '-' || (c == '/' && i + 1 < t.size && t.at[i - 1] != '/');
  }
  return fine;
}

static int load_zone(text name, zone *z, text *why) {
  text path = join(T(ZONES), name), file, reason;
  s32 handle = open_path(path, 0, FLAG_READ, &reason);
  int read = handle >= 0 && slurp(handle, ZONE_FILE_MOST, &file, &reason);
  if (handle >= 0) fs_drop(handle);
  if (read && read_tzif(file, z)) return 1;
  text what = join(join(T("there is no time zone `"), name), T("`: "));
  if (read) *why = join(what, T("its file is not as RFC 9636 has it"));
  else if (same(reason, T("no-entry")) || same(reason, T("is-directory")))
    *why = join(what, T("names are as in `Europe/Berlin`; an offset such as `+02:00` is always understood"));
  else *why = join(join(what, T("`/usr/share/zoneinfo` could not be read (")), join(reason, T("); an offset such as `+02:00` is always understood")));
  return 0;
}

static int zone_of(int given, text name, zone *z, text *why) {
  *z = (zone){.name = given ? name : T("UTC")};
  if (!given || same(name, T("UTC")) || same(name, T("GMT"))) return 1;
  if (read_offset(name, &z->fixed)) return 1;
  if (is_zone_name(name)) return load_zone(name, z, why);
  *why = join(join(T("`"), brief(name)), T("` is no time zone: write `UTC`, an offset such as `+02:00`, or a name such as `Europe/Berlin`"));
  return 0;
}

/* A clock: now, read, write, move and compare times.

   Decides nothing about access: what the time is, the host says; a zone's rules are read from the host's files where the policy lets
   them be. World: wit/world.wit. Build: `make -C components/time`. */
#include "zone.h"

enum { LONGEST = 256, OUT_ROOM = 4096 };

static const s64 EARLIEST = -62135596800, LATEST = 253402300799; /* years 1 to 9999 */
static const char *const WEEKDAYS[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
static const char *const MONTHS[] = {"January", "February", "March", "April", "May", "June",
                                     "July", "August", "September", "October", "November", "December"};

static text quoted(text before, text what, const char *after) { return join(join(before, join(T(" `"), what)), join(T("` "), T(after))); }

/* --- a zone's own clocks --- */

/* The moments at which the clocks of `z` show `local`: none where they are put forward over it, two where they are put back. */
static u32 moments_of(const zone *z, s64 local, s64 found[2]) {
  s32 before = shown_at(z, local - FAR).offset, after = shown_at(z, local + FAR).offset;
  u32 count = 0;
  if (shown_at(z, local - before).offset == before) found[count++] = local - before;
  if (after != before && shown_at(z, local - after).offset == after) found[count++] = local - after;
  return count;
}

/* The moment, or the reason why there is none or not one alone. */
static int moment_of(const zone *z, s64 local, text said, s64 *out, text *why) {
  s64 found[2];
  u32 count = moments_of(z, local, found);
  if (count) *out = found[0];
  if (count == 1) return 1;
  writer w = paper(LONGEST * 2);
  put(&w, T("`")), put(&w, said), put(&w, T("` ")), put(&w, T(count ? "happens twice in `" : "does not exist in `")), put(&w, z->name);
  if (count) {
    put(&w, T("`, where the clocks are put back: write its offset, ")), put_offset(&w, shown_at(z, found[0]).offset, ":");
    put(&w, T(" or ")), put_offset(&w, shown_at(z, found[1]).offset, ":");
  } else put(&w, T("`, where the clocks are put forward"));
  *why = written(w);
  return 0;
}

/* The same, where a calendar's arithmetic ends: what happens twice is the first of both, what does not exist is as much later as the clocks jump. */
static s64 nearest_moment(const zone *z, s64 local) {
  s64 found[2];
  return moments_of(z, local, found) ? found[0] : local - shown_at(z, local - FAR).offset;
}

/* --- reading --- */
static int in_range(civil c) {
  return c.year >= 1 && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= month_days(c.year, c.month) && c.hour < 24 && c.minute < 60 &&
         c.second < 60;
}

static void read_date(reader *r, civil *c) {
  c->year = read_digits(r, 4, 4), r->bad |= !next_is(r, '-');
  c->month = read_digits(r, 2, 2), r->bad |= !next_is(r, '-');
  c->day = read_digits(r, 2, 2);
}
static void read_time(reader *r, civil *c, u32 *nanoseconds) {
  c->hour = read_digits(r, 2, 2), r->bad |= !next_is(r, ':');
  c->minute = read_digits(r, 2, 2);
  if (!next_is(r, ':')) return;
  c->second = read_digits(r, 2, 2);
  if (!next_is(r, '.') && !next_is(r, ',')) return;
  const char *from = r->at;
  *nanoseconds = (u32)read_digits(r, 1, 9);
  for (u32 digits = (u32)(r->at - from); digits && digits < 9; digits++) *nanoseconds *= 10;
  while (r->at < r->end && is_digit(*r->at)) r->at++; /* finer than a nanosecond */
}

/* `@SECONDS`, a fraction not understood. */
static int read_seconds(text t, instant *out) {
  int minus = t.size > 1 && t.at[1] == '-';
  s64 n = 0;
  for (u32 i = 1 + (u32)minus; i < t.size; i++) {
    if (!is_digit(t.at[i]) || i > 13) return 0;
    n = n * 10 + (t.at[i] - '0');
  }
  *out = (instant){minus ? -n : n, 0};
  return t.size > 1u + (u32)minus;
}

static const char HOW[] = "is no time: write it as `2026-11-22T19:17:05+01:00`, `2026-11-22 19:17`, `2026-11-22`, `@1795371425` or `now`";

static int read_instant(text t, const zone *z, instant *out, text *why) {
  if (same(t, T("now"))) return *out = clock(), 1;
  *why = join(join(T("`"), brief(t)), join(T("` "), T(HOW)));
  if (!t.size || t.size > LONGEST) return 0;
  if (t.at[0] == '@') return read_seconds(t, out);
  reader r = {t.at, t.at + t.size, 0};
  civil c = {0};
  s32 offset;
  out->nanoseconds = 0;
  read_date(&r, &c);
  if (next_is(&r, 'T') || next_is(&r, 't') || next_is(&r, ' ')) read_time(&r, &c, &out->nanoseconds);
  next_is(&r, ' ');
  if (r.bad) return 0;
  if (!in_range(c)) return *why = join(join(T("`"), t), T("` names a month, day, hour, minute or second that there is not")), 0;
  text rest = {r.at, (u32)(r.end - r.at)};
  if (!rest.size) return moment_of(z, local_of(c), t, &out->seconds, why);
  if (!read_offset(rest, &offset)) return 0;
  out->seconds = local_of(c) - offset;
  return 1;
}

/* --- the results --- */
static int is_told(instant i, s32 offset) { return i.seconds + offset >= EARLIEST && i.seconds + offset <= LATEST; }
static const char BEYOND[] = "the time is not within the years 1 to 9999";

static void *told(instant i, const zone *z) {
  shown s = shown_at(z, i.seconds);
  if (!is_told(i, s.offset)) return fails(8, T(BEYOND));
  s64 local = i.seconds + s.offset;
  civil c = civil_of(local);
  writer offset = paper(16), week = paper(16);
  s32 week_year, week_number = iso_week(local, &week_year);
  put_offset(&offset, s.offset, ":");
  put_number(&week, week_year, 4), put(&week, T("-W")), put_number(&week, week_number, 2);
  gives(8, 0, 0);
  *(text *)(result.b + 8) = rfc3339(c, i.nanoseconds, s.offset);
  result.d[2] = (u64)i.seconds, result.w[6] = i.nanoseconds;
  *(text *)(result.b + 28) = z->name;
  *(text *)(result.b + 36) = written(offset);
  option_at(44, s.abbreviation.size != 0, (u32)s.abbreviation.at), result.w[13] = s.abbreviation.size;
  result.b[56] = (u8)weekday_of(local);
  *(u16 *)(result.b + 58) = (u16)year_day(c);
  *(text *)(result.b + 60) = written(week);
  return &result;
}

EXPORT("now") void *tool_now(s32 has_zone, const char *zone_at, u32 zone_size) {
  zone z;
  text why;
  if (!zone_of(has_zone, (text){zone_at, zone_size}, &z, &why)) return fails(8, why);
  return told(clock(), &z);
}

EXPORT("parse") void *tool_parse(const char *at, u32 size, s32 has_zone, const char *zone_at, u32 zone_size) {
  zone z;
  text why;
  instant i;
  if (!zone_of(has_zone, (text){zone_at, zone_size}, &z, &why)) return fails(8, why);
  if (!read_instant((text){at, size}, &z, &i, &why)) return fails(8, why);
  return told(i, &z);
}

/* --- format --- */
static void put_short(writer *w, const char *name) { put(w, (text){name, 3}); }

/* What `%c` stands for; 0 where it stands for nothing. */
static int put_field(writer *w, char which, instant i, shown s) {
  s64 local = i.seconds + s.offset;
  civil c = civil_of(local);
  s32 week_year, week = iso_week(local, &week_year);
  switch (which) {
    case 'Y': put_number(w, c.year, 4); break;
    case 'y': put_number(w, c.year % 100, 2); break;
    case 'm': put_number(w, c.month, 2); break;
    case 'd': put_number(w, c.day, 2); break;
    case 'e': put_number(w, c.day, 2 | ' ' << 8); break;
    case 'H': put_number(w, c.hour, 2); break;
    case 'I': put_number(w, (c.hour + 11) % 12 + 1, 2); break;
    case 'M': put_number(w, c.minute, 2); break;
    case 'S': put_number(w, c.second, 2); break;
    case 'f': put_number(w, i.nanoseconds / 1000, 6); break;
    case 'p': put(w, T(c.hour < 12 ? "AM" : "PM")); break;
    case 'j': put_number(w, year_day(c), 3); break;
    case 'a': put_short(w, WEEKDAYS[weekday_of(local)]); break;
    case 'A': put(w, T(WEEKDAYS[weekday_of(local)])); break;
    case 'b': put_short(w, MONTHS[c.month - 1]); break;
    case 'B': put(w, T(MONTHS[c.month - 1])); break;
    case 'u': put_number(w, weekday_of(local) + 1, 1); break;
    case 'V': put_number(w, week, 2); break;
    case 'G': put_number(w, week_year, 4); break;
    case 'z': put_offset(w, s.offset, ""); break;
    case 'Z': if (s.abbreviation.size) put(w, s.abbreviation); else put_offset(w, s.offset, ":"); break;
    case 's': put_number(w, i.seconds, 1); break;
    case 'F': put_field(w, 'Y', i, s), put(w, T("-")), put_field(w, 'm', i, s), put(w, T("-")), put_field(w, 'd', i, s); break;
    case 'T': put_field(w, 'H', i, s), put(w, T(":")), put_field(w, 'M', i, s), put(w, T(":")), put_field(w, 'S', i, s); break;
    case '%': put(w, T("%")); break;
    default: return 0;
  }
  return 1;
}

EXPORT("format")
void *tool_format(const char *at, u32 size, const char *pattern_at, u32 pattern_size, s32 has_zone, const char *zone_at, u32 zone_size) {
  zone z;
  text why;
  instant i;
  if (pattern_size > OUT_ROOM / 8) return fails(4, T("the pattern has more than 512 bytes"));
  if (!zone_of(has_zone, (text){zone_at, zone_size}, &z, &why)) return fails(4, why);
  if (!read_instant((text){at, size}, &z, &i, &why)) return fails(4, why);
  shown s = shown_at(&z, i.seconds);
  if (!is_told(i, s.offset)) return fails(4, T(BEYOND));
  writer w = paper(OUT_ROOM * 2);
  for (u32 k = 0; k < pattern_size; k++) {
    text field = {pattern_at + k, pattern_size - k};
    if (field.at[0] != '%') put(&w, (text){field.at, 1});
    else if (begins(field, T("%:z"))) put_offset(&w, s.offset, ":"), k += 2;
    else if (field.size > 1 && put_field(&w, field.at[1], i, s)) k++;
    else return fails(4, quoted(T("the pattern has"), (text){field.at, field.size > 1 && (u8)field.at[1] < 0x80 ? 2 : 1},
                                "in it, which stands for nothing: `%%` is a percent sign, `%Y-%m-%d %H:%M` a date and time"));
  }
  return gives(4, w.at, w.size);
}

/* --- add --- */
typedef struct { s64 months, days, seconds; } duration;

/* One `12X` of a duration, `X` among `units`; their order is theirs. */
static int read_part(reader *r, const char **units, s64 *count, char *unit) {
  *count = read_digits(r, 1, 9);
  if (r->bad || r->at == r->end) return 0;
  *unit = *r->at++;
  while (**units && **units != *unit) (*units)++;
  return *(*units)++ != 0;
}

static int read_duration(text t, duration *d) {
  reader r = {t.at, t.at + t.size, 0};
  s64 sign = next_is(&r, '-') ? -1 : 1, count;
  const char *units = "YMWD";
  char unit;
  int any = 0, in_time = 0;
  *d = (duration){0};
  if (sign > 0) next_is(&r, '+');
  if (!next_is(&r, 'P')) return 0;
  for (; r.at < r.end; any = 1) {
    if (!in_time && next_is(&r, 'T')) in_time = 1, units = "HMS";
    if (!read_part(&r, &units, &count, &unit)) return 0;
    count *= sign;
    if (in_time) d->seconds += count * (unit == 'H' ? 3600 : unit == 'M' ? 60 : 1);
    else if (unit == 'Y' || unit == 'M') d->months += count * (unit == 'Y' ? 12 : 1);
    else d->days += count * (unit == 'W' ? 7 : 1);
  }
  return any;
}

/* The calendar's part: months, the day no later than the month's last; then days; at the same time of the clock. */
static int moved(s64 local, duration d, s64 *out) {
  civil c = civil_of(local);
  s64 months = (s64)c.year * 12 + c.month - 1 + d.months, year = floor_div(months, 12);
  s32 month = (s32)floor_mod(months, 12) + 1;
  if (year < 1 || year > 9999) return 0;
  s32 last = month_days(year, month);
  *out = (days_of(year, month, c.day < last ? c.day : last) + d.days) * DAY + floor_mod(local, DAY);
  return *out >= EARLIEST && *out <= LATEST;
}

EXPORT("add")
void *tool_add(const char *at, u32 size, const char *duration_at, u32 duration_size, s32 has_zone, const char *zone_at, u32 zone_size) {
  zone z;
  text why, by = {duration_at, duration_size};
  instant i;
  duration d;
  if (!zone_of(has_zone, (text){zone_at, zone_size}, &z, &why)) return fails(8, why);
  if (!read_instant((text){at, size}, &z, &i, &why)) return fails(8, why);
  if (by.size > LONGEST || !read_duration(by, &d))
    return fails(8, join(join(T("`"), brief(by)), T("` is no duration: write it as `P1Y2M3DT4H5M6S`, any part left out, `-P1D` to go back")));
  shown s = shown_at(&z, i.seconds);
  s64 local;
  if (!is_told(i, s.offset) || !moved(i.seconds + s.offset, d, &local)) return fails(8, T(BEYOND));
  if (d.months || d.days) i.seconds = nearest_moment(&z, local);
  i.seconds += d.seconds;
  return told(i, &z);
}

/* --- between --- */
static text iso_duration(s64 seconds) {
  writer w = paper(64);
  s64 far = seconds < 0 ? -seconds : seconds, parts[] = {far / 3600 % 24, far / 60 % 60, far % 60};
  put(&w, T(seconds < 0 ? "-P" : "P"));
  if (far >= DAY) put_number(&w, far / DAY, 1), put(&w, T("D"));
  if (far % DAY || !far) put(&w, T("T"));
  for (u32 k = 0; k < 3; k++)
    if (parts[k] || (!far && k == 2)) put_number(&w, parts[k], 1), put(&w, (text){&"HMS"[k], 1});
  return written(w);
}

EXPORT("between")
void *tool_between(const char *from_at, u32 from_size, const char *to_at, u32 to_size, s32 has_zone, const char *zone_at, u32 zone_size) {
  zone z;
  text why;
  instant from, to;
  if (!zone_of(has_zone, (text){zone_at, zone_size}, &z, &why)) return fails(8, why);
  if (!read_instant((text){from_at, from_size}, &z, &from, &why)) return fails(8, why);
  if (!read_instant((text){to_at, to_size}, &z, &to, &why)) return fails(8, why);
  /* Whole seconds towards zero, the fractions taken into account. */
  s64 far = to.seconds - from.seconds;
  if (far > 0 && to.nanoseconds < from.nanoseconds) far--;
  if (far < 0 && to.nanoseconds > from.nanoseconds) far++;
  result.b[0] = 0;
  result.d[1] = (u64)far;
  *(text *)(result.b + 16) = iso_duration(far);
  return &result;
}

#define RELEASED(name, function) \
  RELEASES(name) released_##function(void *r) { (void)r; release_all(); }

RELEASED("now", now)
RELEASED("parse", parse)
RELEASED("format", format)
RELEASED("add", add)
RELEASED("between", between)

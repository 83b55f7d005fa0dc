/* The proleptic Gregorian calendar, and texts written piece by piece.

   Rules: years are 1 to 9999; days and seconds count from 1970-01-01; a leap second is not told apart from the second after it. */
#pragma once
#include "paths.h"

enum { DAY = 86400 };

typedef struct { s64 seconds; u32 nanoseconds; } instant;
typedef struct { s32 year, month, day, hour, minute, second; } civil;
typedef struct { char *at; u32 size, room; } writer;

static s64 floor_div(s64 a, s64 b) { return a / b - (a % b < 0); }
static s64 floor_mod(s64 a, s64 b) { return a - floor_div(a, b) * b; }
static int is_leap(s64 y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }
static s32 month_days(s64 y, s32 m) { return m == 2 ? 28 + is_leap(y) : 30 + ((m + (m > 7)) & 1); }

/* Days since 1970-01-01 (Howard Hinnant's days_from_civil: the year begins in March, so that February's end is the year's). */
static s64 days_of(s64 y, s32 m, s32 d) {
  y -= m <= 2;
  s64 era = floor_div(y, 400), of_era = y - era * 400;
  s64 of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static civil civil_of(s64 local) {
  s64 z = floor_div(local, DAY) + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
  s64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  s32 m = (s32)(mp < 10 ? mp + 3 : mp - 9), rest = (s32)floor_mod(local, DAY);
  return (civil){(s32)(yoe + era * 400 + (m <= 2)), m, (s32)(doy - (153 * mp + 2) / 5 + 1), rest / 3600, rest / 60 % 60, rest % 60};
}

static s64 local_of(civil c) { return days_of(c.year, c.month, c.day) * DAY + c.hour * 3600 + c.minute * 60 + c.second; }
static s32 weekday_of(s64 local) { return (s32)floor_mod(floor_div(local, DAY) + 3, 7); } /* Monday is 0 */
static s32 year_day(civil c) { return (s32)(days_of(c.year, c.month, c.day) - days_of(c.year, 1, 1)) + 1; }

/* ISO 8601: the week is of the year that its Thursday is in. */
static s32 iso_week(s64 local, s32 *year) {
  s64 thursday = local + (3 - weekday_of(local)) * (s64)DAY;
  civil c = civil_of(thursday);
  *year = c.year;
  return (year_day(c) - 1) / 7 + 1;
}

/* --- writing --- */
static writer paper(u32 room) { return (writer){take(room), 0, room}; }
static text written(writer w) { return (text){w.at, w.size}; }

static void put(writer *w, text t) {
  u32 n = w->room - w->size < t.size ? w->room - w->size : t.size;
  memcpy(w->at + w->size, t.at, n);
  w->size += n;
}
static void put_number(writer *w, s64 n, u32 digits) {
  char pad = digits >> 8 ? (char)(digits >> 8) : '0';
  text t = number((u64)(n < 0 ? -n : n));
  if (n < 0) put(w, T("-"));
  for (u32 i = t.size; i < (digits & 0xff); i++) put(w, (text){&pad, 1});
  put(w, t);
}
static void put_offset(writer *w, s32 offset, const char *colon) {
  s32 far = offset < 0 ? -offset : offset;
  put(w, T(offset < 0 ? "-" : "+"));
  put_number(w, far / 3600, 2);
  put(w, T(colon));
  put_number(w, far / 60 % 60, 2);
  if (far % 60) put(w, T(colon)), put_number(w, far % 60, 2);
}

static text rfc3339(civil c, u32 nanoseconds, s32 offset) {
  writer w = paper(64);
  put_number(&w, c.year, 4), put(&w, T("-")), put_number(&w, c.month, 2), put(&w, T("-")), put_number(&w, c.day, 2), put(&w, T("T"));
  put_number(&w, c.hour, 2), put(&w, T(":")), put_number(&w, c.minute, 2), put(&w, T(":")), put_number(&w, c.second, 2);
  if (nanoseconds) put(&w, T(".")), put_number(&w, nanoseconds, 9);
  if (nanoseconds) while (w.at[w.size - 1] == '0') w.size--;
  if (offset) put_offset(&w, offset, ":");
  else put(&w, T("Z"));
  return written(w);
}

static instant clock(void) {
  clock_wall(&scratch);
  return (instant){(s64)scratch.d[0], scratch.w[2]};
}

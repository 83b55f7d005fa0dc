/* One note, one file: `/notes/000001.md`, Markdown below a few lines that say when and with which tags.

   Decides how a note lies on disk, so that a person can read, edit and back it up with any editor. Rules: a number is taken by creating its
   file, which no two calls can do; a text is written beside it and renamed over it, so who reads sees all of the old or all of the new; an
   empty file is a note that was never finished, and is none; a file without the lines is a note without tags. */
#pragma once
#include "calendar.h"
#include "paths.h"

enum { NOTE_MOST = 256 << 10, TAGS_MOST = 20, TAG_MOST = 40, LAST_ID = 999999, TRIES = 100 };
static const char FOLDER[] = "/notes";

typedef struct { text *at; u32 count; } texts;
typedef struct { u32 id; text text; texts tags; text created, changed; } note;

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static text path_of(u32 id) {
  writer w = paper(32);
  put(&w, T(FOLDER)), put(&w, T("/")), put_number(&w, id, 6), put(&w, T(".md"));
  return written(w);
}

/* The number in `000001.md`; 0 where a name is another's. */
static u32 id_in(text name) {
  u32 id = 0;
  if (name.size != 9 || !same((text){name.at + 6, 3}, T(".md"))) return 0;
  for (u32 i = 0; i < 6; i++) {
    if (!is_digit(name.at[i])) return 0;
    id = id * 10 + (u32)(name.at[i] - '0');
  }
  return id;
}

/* --- tags --- */
static text trimmed(text t) {
  while (t.size && t.at[0] == ' ') t.at++, t.size--;
  while (t.size && t.at[t.size - 1] == ' ') t.size--;
  return t;
}
static text lowered(text t) {
  char *at = take(t.size);
  for (u32 i = 0; i < t.size; i++) at[i] = (char)(t.at[i] >= 'A' && t.at[i] <= 'Z' ? t.at[i] + 32 : t.at[i]);
  return (text){at, t.size};
}
static int is_tag(text t) {
  for (u32 i = 0; i < t.size; i++)
    if ((u8)t.at[i] < ' ' || t.at[i] == ',' || t.at[i] == 0x7f) return 0;
  return t.size && t.size <= TAG_MOST;
}
static int has_tag(texts tags, text tag) {
  for (u32 i = 0; i < tags.count; i++)
    if (same(tags.at[i], tag)) return 1;
  return 0;
}

/* The tags as they are kept: trimmed, in small letters, each once; 0 with the reason where one is none. */
static int clean_tags(const text *given, u32 count, texts *out, text *why) {
  *out = (texts){take(TAGS_MOST * sizeof(text)), 0};
  for (u32 i = 0; i < count; i++) {
    text tag = lowered(trimmed(given[i]));
    if (!is_tag(tag)) return *why = join(join(T("`"), brief(tag)), T("` is no tag: write 1 to 40 bytes without a comma or a line end")), 0;
    if (has_tag(*out, tag)) continue;
    if (out->count == TAGS_MOST) return *why = T("a note has at most 20 tags"), 0;
    out->at[out->count++] = tag;
  }
  return 1;
}

/* --- the file --- */
static text line_of(text *rest) {
  u32 n = 0;
  while (n < rest->size && rest->at[n] != '\n') n++;
  text line = {rest->at, n};
  n += n < rest->size;
  *rest = (text){rest->at + n, rest->size - n};
  if (line.size && line.at[line.size - 1] == '\r') line.size--;
  return line;
}
static text value_of(text line, const char *key) {
  text k = T(key);
  return begins(line, k) ? trimmed((text){line.at + k.size, line.size - k.size}) : (text){0, 0};
}
static void read_tags(text line, texts *out) {
  text all[TAGS_MOST], why;
  u32 count = 0, from = 0;
  for (u32 i = 0; i <= line.size && count < TAGS_MOST; i++)
    if (i == line.size || line.at[i] == ',') all[count++] = (text){line.at + from, i - from}, from = i + 1;
  if (!clean_tags(all, count, out, &why)) out->count = 0;
}

/* What a file says; one that does not begin with the lines is text alone. */
static void parse_note(text file, note *out) {
  text rest = file, line = line_of(&rest), value;
  out->text = file, out->tags = (texts){0, 0}, out->created = out->changed = (text){0, 0};
  if (!same(line, T("---"))) return;
  note head = *out;
  while (rest.size) {
    line = line_of(&rest);
    if (same(line, T("---"))) {
      head.text = rest;
      *out = head;
      return;
    }
    if ((value = value_of(line, "created:")).at) head.created = value;
    else if ((value = value_of(line, "changed:")).at) head.changed = value;
    else if ((value = value_of(line, "tags:")).size) read_tags(value, &head.tags);
  }
}

static text file_of(const note *n) {
  writer w = paper(n->text.size + TAGS_MOST * (TAG_MOST + 2) + 256);
  put(&w, T("---\ncreated: ")), put(&w, n->created), put(&w, T("\nchanged: ")), put(&w, n->changed), put(&w, T("\ntags: "));
  for (u32 i = 0; i < n->tags.count; i++) put(&w, T(i ? ", " : "")), put(&w, n->tags.at[i]);
  put(&w, T("\n---\n")), put(&w, n->text);
  return written(w);
}

static int load_note(u32 id, note *out, text *why) {
  text file;
  s32 handle = open_path(path_of(id), 0, FLAG_READ, why);
  if (handle < 0) return 0;
  int whole = slurp(handle, NOTE_MOST * 2, &file, why);
  fs_drop(handle);
  if (!whole) return 0;
  if (!file.size) return *why = T("no-entry"), 0;
  if (!is_utf8(file)) return *why = T("its file is no UTF-8 text"), 0;
  out->id = id;
  parse_note(file, out);
  return 1;
}

static text now_text(void) { instant i = clock(); return rfc3339(civil_of((s64)i.seconds), 0, 0); }

/* Writes beside the note, then renames over it. */
static int save_note(const note *n, text *why) {
  text path = path_of(n->id), fresh = join(join(path, T(".")), join(number(clock_now()), T(".new")));
  place from, to;
  s32 handle = open_path(fresh, OPEN_CREATE | OPEN_EXCLUSIVE, FLAG_WRITE, why);
  if (handle < 0) return 0;
  int whole = spill_at(handle, 0, file_of(n), why);
  fs_drop(handle);
  if (!locate(fresh, &from) || !locate(path, &to)) return *why = T(NOT_MOUNTED), 0;
  if (whole) {
    fs_rename(from.directory, from.rest.at, from.rest.size, to.directory, to.rest.at, to.rest.size, &scratch);
    if (!scratch.b[0]) return 1;
    *why = fs_error(scratch.b[1]);
  }
  fs_unlink(from.directory, from.rest.at, from.rest.size, &scratch);
  return 0;
}

/* The ids in the folder, in their order; `*others` counts what is no note's file. */
static int all_ids(list *out, u32 *others, text *why) {
  list entries = {0};
  int more = 0;
  s32 directory = open_path(T(FOLDER), OPEN_DIRECTORY, FLAG_READ, why);
  if (directory < 0) return 0;
  int whole = entries_of(directory, &entries, &more, why);
  fs_drop(directory);
  for (u32 i = 0; i < entries.count; i++) {
    entry one = ((entry *)entries.at)[i];
    u32 id = one.kind == KIND_FILE ? id_in(one.name) : 0;
    if (id) *(u32 *)push(out, sizeof id) = id;
    else ++*others;
  }
  return whole;
}

/* A number that is this call's alone, by creating its file: the one after the largest. */
static u32 take_id(text *why) {
  list ids = {0};
  u32 others = 0;
  if (!all_ids(&ids, &others, why)) return 0;
  u32 id = ids.count ? ((u32 *)ids.at)[ids.count - 1] : 0;
  for (u32 i = 0; i < TRIES && id < LAST_ID; i++) {
    s32 handle = open_path(path_of(++id), OPEN_CREATE | OPEN_EXCLUSIVE, FLAG_WRITE, why);
    if (handle >= 0) return fs_drop(handle), id;
    if (!same(*why, T("exist"))) return 0;
  }
  *why = T("no number is free");
  return 0;
}

/* Removes the file of a number whose note could not be written. */
static void give_back(u32 id) {
  place at;
  if (locate(path_of(id), &at)) fs_unlink(at.directory, at.rest.at, at.rest.size, &scratch);
}

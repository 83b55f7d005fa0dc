/* Notes with tags, kept in the component's own data folder.

   Decides what a note is and in which order they are shown; where they lie is the policy's to say. Rules: the newest first; an
   answer holds 256 KiB and three seconds of reading, and one that was cut says where to go on. World: wit/world.wit. Build:
   `make -C components/notes`. */
#include "kept.h"
#include "store.h"

enum { LISTED = 200, USUAL = 50, SHOWN = 200, SECONDS_MS = 3000, DISTINCT = 2000 };

typedef struct { u32 id; text title; texts tags; text changed; u8 has_excerpt; text excerpt; } summary;
typedef struct { text tag; u32 notes; } tag_count;

static summary page[LISTED];
static tag_count counts[DISTINCT];

static void *no_note(const char *verb, u32 id, text why) {
  text message = join(join(T("cannot "), T(verb)), join(T(" note "), number(id)));
  if (same(why, T("no-entry"))) why = T("there is none; `list` shows those there are");
  return fails(4, join(message, join(T(": "), why)));
}
static void *refuse(const char *what, text why) { return fails(4, join(join(T("cannot "), T(what)), join(T(": "), why))); }

static const char TOO_LONG[] = "a note has at most 262144 bytes";
static const char EMPTY[] = "it has no text; `delete` removes a note";

static int is_blank(text t) {
  for (u32 i = 0; i < t.size; i++)
    if (t.at[i] != ' ' && t.at[i] != '\n' && t.at[i] != '\t' && t.at[i] != '\r') return 0;
  return 1;
}

/* --- one note --- */
EXPORT("add") void *tool_add(const char *at, u32 size, s32 has_tags, const text *tags, u32 count) {
  note n = {.text = {at, size}};
  text why;
  if (is_blank(n.text)) return refuse("add the note", T(EMPTY));
  if (size > NOTE_MOST) return refuse("add the note", T(TOO_LONG));
  if (!clean_tags(tags, has_tags ? count : 0, &n.tags, &why)) return refuse("add the note", why);
  n.id = take_id(&why);
  if (!n.id) return refuse("add the note", why);
  n.created = n.changed = now_text();
  if (!save_note(&n, &why)) return give_back(n.id), refuse("add the note", why);
  result.b[0] = 0;
  result.w[1] = n.id;
  return &result;
}

EXPORT("read") void *tool_read(u32 id) {
  note n;
  text why;
  if (!load_note(id, &n, &why)) return no_note("read", id, why);
  result.b[0] = 0;
  result.w[1] = id;
  *(text *)(result.b + 8) = n.text;
  *(texts *)(result.b + 16) = n.tags;
  *(text *)(result.b + 24) = n.created;
  *(text *)(result.b + 32) = n.changed;
  return &result;
}

EXPORT("change")
void *tool_change(u32 id, s32 has_text, const char *at, u32 size, s32 has_tags, const text *tags, u32 count) {
  note n;
  text why;
  if (!has_text && !has_tags) return refuse("change the note", T("neither `text` nor `tags` is given"));
  if (has_text && is_blank((text){at, size})) return refuse("change the note", T(EMPTY));
  if (has_text && size > NOTE_MOST) return refuse("change the note", T(TOO_LONG));
  if (!load_note(id, &n, &why)) return no_note("change", id, why);
  if (has_tags && !clean_tags(tags, count, &n.tags, &why)) return no_note("change", id, why);
  if (has_text) n.text = (text){at, size};
  n.changed = now_text();
  if (!n.created.size) n.created = n.changed;
  if (!save_note(&n, &why)) return no_note("change", id, why);
  result.b[0] = 0;
  return &result;
}

EXPORT("delete") void *tool_delete(u32 id) {
  place at;
  if (!locate(path_of(id), &at)) return no_note("delete", id, T(NOT_MOUNTED));
  fs_unlink(at.directory, at.rest.at, at.rest.size, &scratch);
  if (scratch.b[0]) return no_note("delete", id, fs_error(scratch.b[1]));
  result.b[0] = 0;
  return &result;
}

/* --- many --- */

/* At most SHOWN bytes, cut between two characters. */
static text shortened(text line) {
  u32 size = 0, n;
  while (size < line.size && (n = utf8_at((const u8 *)line.at + size, line.size - size)) && size + n <= SHOWN) size += n;
  return (text){line.at, size};
}

static text title_of(text rest) {
  text line = {0, 0};
  while (rest.size && is_blank(line)) line = line_of(&rest);
  return shortened(trimmed(line));
}

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }

static int holds(text line, text needle) {
  for (u32 i = 0; i + needle.size <= line.size; i++) {
    u32 k = 0;
    while (k < needle.size && lower(line.at[i + k]) == lower(needle.at[k])) k++;
    if (k == needle.size) return 1;
  }
  return 0;
}

/* The line that holds the needle. */
static int found_in(text rest, text needle, text *line) {
  while (rest.size) {
    *line = line_of(&rest);
    if (holds(*line, needle)) return 1;
  }
  return 0;
}

/* Keeps a note for the answer; 0 where there is no room. */
static int keep_summary(const note *n, const text *excerpt, summary *out) {
  keep_list_next();
  text all = keep((text){(const char *)n->tags.at, n->tags.count * sizeof(text)});
  *out = (summary){n->id, keep(title_of(n->text)), {(text *)all.at, n->tags.count}, keep(n->changed), excerpt != 0, {0, 0}};
  if (excerpt) out->excerpt = keep(shortened(trimmed(*excerpt)));
  int room = all.at && out->title.at && out->changed.at && (!excerpt || out->excerpt.at);
  for (u32 i = 0; room && i < n->tags.count; i++) out->tags.at[i] = keep(n->tags.at[i]), room = out->tags.at[i].at != 0;
  return room;
}

typedef struct { text needle, tag; u32 most, before; } query;

static int suits(const query *q, const note *n, text *line) {
  if (q->tag.size && !has_tag(n->tags, q->tag)) return 0;
  return !q->needle.size || found_in(n->text, q->needle, line);
}

/* Fills the page from the ids below `before`, the largest first: why it stopped, empty where it went to the end; `*next` is the id after. */
static text fill_page(const query *q, list ids, u32 *count, u32 *skipped, u32 *next) {
  u32 done = 0;
  for (u32 i = ids.count; i--;) {
    u32 id = ((u32 *)ids.at)[i], here = mark();
    note n;
    text why, line;
    if (id >= q->before) continue;
    *next = id + 1;
    if (*count == q->most) return T("`most` was reached");
    if (done++ && is_late()) return T("three seconds were up");
    if (!load_note(id, &n, &why)) ++*skipped;
    else if (suits(q, &n, &line)) {
      u32 kept_before = kept_size;
      if (!keep_summary(&n, q->needle.size ? &line : 0, page + *count)) return kept_size = kept_before, T("the answer is full");
      ++*count;
    }
    rewind(here);
  }
  return T("");
}

static void *paged(const query *q) {
  list ids = {0};
  u32 count = 0, others = 0, skipped = 0, next = 0;
  text why;
  kept_size = 0;
  if (!q->most || q->most > LISTED) return refuse("list notes", T("`most` is 1 to 200"));
  hurry(SECONDS_MS);
  if (!all_ids(&ids, &others, &why)) return refuse("list notes", why);
  text stopped = fill_page(q, ids, &count, &skipped, &next);
  gives(4, page, count);
  result.w[3] = skipped + others;
  option_at(16, stopped.size != 0, (u32)stopped.at), result.w[6] = stopped.size;
  return option_at(28, stopped.size != 0, next);
}

static query query_of(s32 has_tag_, text tag, s32 has_most, u32 most, s32 has_before, u32 before) {
  return (query){{0, 0}, has_tag_ ? lowered(trimmed(tag)) : (text){0, 0}, has_most ? most : USUAL, has_before ? before : LAST_ID + 1};
}

EXPORT("list")
void *tool_list(s32 has_tag_, const char *tag_at, u32 tag_size, s32 has_most, u32 most, s32 has_before, u32 before) {
  query q = query_of(has_tag_, (text){tag_at, tag_size}, has_most, most, has_before, before);
  return paged(&q);
}

EXPORT("search")
void *tool_search(const char *at, u32 size, s32 has_tag_, const char *tag_at, u32 tag_size, s32 has_most, u32 most, s32 has_before, u32 before) {
  query q = query_of(has_tag_, (text){tag_at, tag_size}, has_most, most, has_before, before);
  q.needle = (text){at, size};
  if (!size || size > SHOWN) return refuse("search", T("`needle` has 1 to 200 bytes"));
  return paged(&q);
}

/* --- tags --- */

/* Counts a tag in its place; 0 where there is no room for another. */
static int count_tag(text tag, u32 *count) {
  u32 at = 0;
  while (at < *count && order(counts[at].tag, tag) < 0) at++;
  if (at < *count && same(counts[at].tag, tag)) return ++counts[at].notes, 1;
  text kept_tag = *count < DISTINCT ? keep(tag) : (text){0, 0};
  if (!kept_tag.at) return 0;
  for (u32 i = (*count)++; i > at; i--) counts[i] = counts[i - 1];
  counts[at] = (tag_count){kept_tag, 1};
  return 1;
}

EXPORT("tags") void *tool_tags(void) {
  list ids = {0};
  u32 others = 0, count = 0, i = 0;
  text why, stopped = {0, 0};
  kept_size = 0;
  hurry(SECONDS_MS);
  if (!all_ids(&ids, &others, &why)) return refuse("count tags", why);
  for (i = ids.count; i-- && !stopped.size;) {
    u32 here = mark();
    note n;
    if (is_late()) stopped = T("three seconds were up; the oldest notes are not counted");
    else if (load_note(((u32 *)ids.at)[i], &n, &why))
      for (u32 k = 0; k < n.tags.count; k++)
        if (!count_tag(n.tags.at[k], &count)) stopped = T("there are more tags than one answer holds");
    rewind(here);
  }
  gives(4, counts, count);
  option_at(12, stopped.size != 0, (u32)stopped.at), result.w[5] = stopped.size;
  return &result;
}

#define RELEASED(name, function) \
  RELEASES(name) released_##function(void *r) { (void)r; release_all(); }

RELEASED("add", add)
RELEASED("read", read)
RELEASED("change", change)
RELEASED("delete", delete)
RELEASED("list", list)
RELEASED("search", search)
RELEASED("tags", tags)

/* What an answer holds while the memory of its loop is given back: at most KEPT bytes, and a little more for how it ended. */
#pragma once
#include "wasi.h"

enum { KEPT = 256 << 10, KEPT_LAST = 16 << 10 };

static u8 kept[KEPT + KEPT_LAST] __attribute__((aligned(8)));
static u32 kept_size;

static text keep_within(text t, u32 room) {
  if (room < kept_size + t.size) return (text){0, 0};
  memcpy(kept + kept_size, t.at, t.size);
  kept_size += t.size;
  return (text){(char *)kept + kept_size - t.size, t.size};
}

/* A copy that outlives the walk's memory; `at` is 0 where there is no room. */
static text keep(text t) { return keep_within(t, KEPT); }

/* The same for why and where a walk ended: for these there always is room. */
static text keep_last(text t) { return keep_within(t, KEPT + KEPT_LAST); }

/* What is kept next is a list, not a text: it begins at a multiple of four. */
static void keep_list_next(void) { kept_size = (kept_size + 3) & ~3u; }

/* Does each step that it is given, and goes on whatever becomes of one. */
#include "guest.h"

typedef struct { text verb, mount, path, other, to; } step;

static void create(s32 at, text path) {
  fs_open(at, 0, path.at, path.size, OPEN_CREATE, FLAG_WRITE, &scratch);
  if (told("create", path, 4)) fs_drop((s32)scratch.w[1]);
}

static void take_one(const step *one) {
  s32 at = directory(one->mount), to = one->to.size ? directory(one->to) : at;
  text path = one->path, other = one->other;
  if (same(one->verb, T("mkdir"))) fs_mkdir(at, path.at, path.size, &scratch), told("mkdir", path, 1);
  else if (same(one->verb, T("rmdir"))) fs_rmdir(at, path.at, path.size, &scratch), told("rmdir", path, 1);
  else if (same(one->verb, T("unlink"))) fs_unlink(at, path.at, path.size, &scratch), told("unlink", path, 1);
  else if (same(one->verb, T("create"))) create(at, path);
  else if (same(one->verb, T("read"))) tried(join(T("read "), path), opened(at, SYMLINK_FOLLOW, path, 0));
  else if (same(one->verb, T("names"))) tried(join(T("names "), path), names_in(at, path));
  else if (same(one->verb, T("link"))) fs_link(at, 0, path.at, path.size, to, other.at, other.size, &scratch), told("link", path, 1);
  else if (same(one->verb, T("symlink"))) fs_symlink(at, other.at, other.size, path.at, path.size, &scratch), told("symlink", path, 1);
  else if (same(one->verb, T("rename"))) fs_rename(at, path.at, path.size, to, other.at, other.size, &scratch), told("rename", path, 1);
  else __builtin_trap();
}

EXPORT("take") void *take_steps(const step *steps, u32 count) {
  for (u32 i = 0; i < count; i++) take_one(&steps[i]);
  return all_attempts();
}

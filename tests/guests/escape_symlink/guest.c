/* Tries to leave a mounted directory through symbolic links. */
#include "guest.h"

static void look_through(s32 at, text name) {
  tried(join(T("open "), name), opened(at, SYMLINK_FOLLOW, name, 0));
  tried(join(T("open directory "), name), opened(at, SYMLINK_FOLLOW, name, OPEN_DIRECTORY));
  tried(join(T("open unfollowed "), name), opened(at, 0, name, 0));
  tried(join(T("list "), name), names_in(at, name));
  fs_stat_at(at, SYMLINK_FOLLOW, name.at, name.size, &scratch);
  told("stat", name, 8);
}

EXPORT("follow") void *follow(const char *mounted, u32 size, const text *names, u32 count) {
  s32 at = directory((text){mounted, size});
  for (u32 i = 0; i < count; i++) {
    fs_readlink(at, names[i].at, names[i].size, &scratch);
    told("readlink", names[i], 4);
    look_through(at, names[i]);
    look_through(at, join(names[i], T("/")));
    look_through(at, join(names[i], T("//")));
  }
  return all_attempts();
}

static void change(s32 at, text path) {
  fs_mkdir(at, path.at, path.size, &scratch);
  told("mkdir", path, 1);
  fs_rmdir(at, path.at, path.size, &scratch);
  told("rmdir", path, 1);
  fs_unlink(at, path.at, path.size, &scratch);
  told("unlink", path, 1);
  fs_open(at, SYMLINK_FOLLOW, path.at, path.size, OPEN_CREATE, FLAG_WRITE, &scratch);
  if (told("create", path, 4)) fs_drop((s32)scratch.w[1]);
}

EXPORT("change-through") void *change_through(const char *mounted, u32 size, const text *names, u32 count) {
  s32 at = directory((text){mounted, size});
  for (u32 i = 0; i < count; i++) {
    change(at, join(names[i], T("/planted")));
    change(at, join(names[i], T("/")));
    change(at, join(names[i], T("//")));
  }
  return all_attempts();
}

EXPORT("plant") void *plant(const char *mounted, u32 size, const char *target, u32 target_size, const char *name, u32 name_size) {
  s32 at = directory((text){mounted, size});
  text planted = {name, name_size};
  fs_symlink(at, target, target_size, name, name_size, &scratch);
  told("symlink", planted, 1);
  tried(join(T("open "), planted), opened(at, SYMLINK_FOLLOW, planted, 0));
  tried(join(T("list "), planted), names_in(at, planted));
  return all_attempts();
}

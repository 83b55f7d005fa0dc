/* Tries to widen what may be done with a file by giving it a second name. */
#include "guest.h"

EXPORT("read") void *read_it(const char *mounted, u32 size, const char *path, u32 path_size) {
  text *got = (text *)&result;
  *got = opened(directory((text){mounted, size}), SYMLINK_FOLLOW, (text){path, path_size}, 0);
  return got;
}

EXPORT("link-and-write") void *link_and_write(const char *source, u32 source_size, const char *path, u32 path_size, const char *target,
                                              u32 target_size, const char *name, u32 name_size, const char *content, u32 content_size) {
  s32 from = directory((text){source, source_size}), to = directory((text){target, target_size});
  text made = {name, name_size};
  fs_link(from, 0, path, path_size, to, name, name_size, &scratch);
  told("link", made, 1);
  fs_open(to, 0, name, name_size, 0, FLAG_WRITE, &scratch);
  if (told("open for writing", made, 4)) {
    s32 file = (s32)scratch.w[1];
    fs_write(file, content, content_size, 0, &scratch);
    told("write", made, 8);
    fs_drop(file);
  }
  return all_attempts();
}

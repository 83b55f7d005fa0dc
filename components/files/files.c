/* A filesystem tool: reads, writes and edits text, lists and searches trees, moves and removes.

   Decides nothing about access: every path goes to the host, and the host's error comes back by its WASI name with what to do
   about it. Rules: an answer fits in 768 KiB, a walk in three seconds, and one that was cut says so. World: wit/world.wit. Build:
   `make -C components/files`. */
#include "names.h"
#include "texts.h"
#include "walks.h"

#define RELEASED(name, function) \
  RELEASES(name) released_##function(void *r) { (void)r; release_all(); }

RELEASED("read", read)
RELEASED("read-lines", read_lines)
RELEASED("write", write)
RELEASED("append", append)
RELEASED("edit", edit)
RELEASED("list", list)
RELEASED("search", search)
RELEASED("find", find)
RELEASED("info", info)
RELEASED("make-directory", make_directory)
RELEASED("move", move)
RELEASED("remove", remove)

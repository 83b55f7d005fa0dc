/* Every function of wasi:filesystem by itself, without a libc: what it passes is what the test says.
 *
 *   clang --target=wasm32 -O2 -nostdlib -fno-builtin -Wl,--no-entry -Wl,--strip-all -o fs.core.wasm fs.c
 *   wasm-tools component embed WIT -w fs fs.core.wasm -o fs.embedded.wasm
 *   wasm-tools component new fs.embedded.wasm -o fs.wasm
 *
 * where the folder WIT holds fs.wit and, under deps/, WASI's own of 0.2.12.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define FS(name) __attribute__((import_module("wasi:filesystem/types@0.2.12"), import_name("[method]descriptor." name)))
#define IO(name) __attribute__((import_module("wasi:io/streams@0.2.12"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

__attribute__((import_module("wasi:filesystem/preopens@0.2.12"), import_name("get-directories"))) void w_preopens(void *);
__attribute__((import_module("wasi:filesystem/types@0.2.12"), import_name("[resource-drop]descriptor"))) void w_drop(u32);
__attribute__((import_module("wasi:filesystem/types@0.2.12"), import_name("[resource-drop]directory-entry-stream"))) void w_drop_dir(u32);
__attribute__((import_module("wasi:filesystem/types@0.2.12"), import_name("[method]directory-entry-stream.read-directory-entry")))
void w_entry(u32, void *);
FS("open-at") void w_open_at(u32, u32, const u8 *, u32, u32, u32, void *);
FS("stat-at") void w_stat_at(u32, u32, const u8 *, u32, void *);
FS("stat") void w_stat(u32, void *);
FS("metadata-hash-at") void w_hash_at(u32, u32, const u8 *, u32, void *);
FS("metadata-hash") void w_hash(u32, void *);
FS("get-type") void w_get_type(u32, void *);
FS("get-flags") void w_get_flags(u32, void *);
FS("read") void w_read(u32, u64, u64, void *);
FS("write") void w_write(u32, const u8 *, u32, u64, void *);
FS("read-via-stream") void w_read_stream(u32, u64, void *);
FS("write-via-stream") void w_write_stream(u32, u64, void *);
FS("append-via-stream") void w_append_stream(u32, void *);
FS("set-size") void w_set_size(u32, u64, void *);
FS("set-times") void w_set_times(u32, u32, u64, u32, u32, u64, u32, void *);
FS("set-times-at") void w_set_times_at(u32, u32, const u8 *, u32, u32, u64, u32, u32, u64, u32, void *);
FS("sync") void w_sync(u32, void *);
FS("sync-data") void w_sync_data(u32, void *);
FS("advise") void w_advise(u32, u64, u64, u32, void *);
FS("is-same-object") u32 w_is_same(u32, u32);
FS("read-directory") void w_read_directory(u32, void *);
FS("create-directory-at") void w_mkdir(u32, const u8 *, u32, void *);
FS("remove-directory-at") void w_rmdir(u32, const u8 *, u32, void *);
FS("unlink-file-at") void w_unlink(u32, const u8 *, u32, void *);
FS("readlink-at") void w_readlink(u32, const u8 *, u32, void *);
FS("symlink-at") void w_symlink(u32, const u8 *, u32, const u8 *, u32, void *);
FS("rename-at") void w_rename(u32, const u8 *, u32, u32, const u8 *, u32, void *);
FS("link-at") void w_link(u32, u32, const u8 *, u32, u32, const u8 *, u32, void *);
IO("[method]input-stream.blocking-read") void w_blocking_read(u32, u64, void *);
IO("[method]output-stream.blocking-write-and-flush") void w_blocking_write(u32, const u8 *, u32, void *);
IO("[resource-drop]input-stream") void w_drop_in(u32);
IO("[resource-drop]output-stream") void w_drop_out(u32);
__attribute__((import_module("wasi:io/error@0.2.12"), import_name("[resource-drop]error"))) void w_drop_error(u32);
__attribute__((import_module("wasi:random/random@0.2.12"), import_name("get-random-u64"))) u64 w_random(void);

#define HANDLES 4096
static u32 table[HANDLES], used;
static u8 streams[HANDLES];
static u8 out[1 << 16] __attribute__((aligned(16)));
static u64 answer[32];
static u32 returned[2];
extern u8 __heap_base;
static u32 heap;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 size, u32 align, u32 wanted) {
    if (!heap) heap = (u32)&__heap_base;
    heap = (heap + align - 1) & -align;
    u32 at = heap;
    heap += wanted;
    u32 pages = (heap + 65535) >> 16, have = __builtin_wasm_memory_size(0);
    if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (__SIZE_TYPE__)-1) __builtin_trap();
    for (u32 i = 0; i < size; i++) ((u8 *)at)[i] = ((u8 *)old)[i];
    return (void *)at;
}
static void reset(void) { heap = (u32)&__heap_base; }

/* What a result whose payload begins at `at` says: 0, or minus (1 + the error code). */
static s64 plain(u32 at) {
    u8 *a = (u8 *)answer;
    s64 r = a[0] ? -1 - (s64)a[at] : 0;
    reset();
    return r;
}
static s64 opened(u8 stream) {
    u8 *a = (u8 *)answer;
    if (a[0]) { s64 r = -1 - (s64)a[4]; reset(); return r; }
    if (used == HANDLES) __builtin_trap();
    table[used] = *(u32 *)(a + 4);
    streams[used] = stream;
    reset();
    return used++;
}
static u32 *bytes(const u8 *at, u32 n) {
    if (n > sizeof out) n = sizeof out;
    for (u32 i = 0; i < n; i++) out[i] = at[i];
    returned[0] = (u32)out;
    returned[1] = n;
    reset();
    return returned;
}
static u32 *failure(u32 code) {
    u8 text[3] = {'!', '0' + code / 10, '0' + code % 10};
    return bytes(text, 3);
}
static u32 stream_failure(u8 *a, u32 at) { /* stream-error: last-operation-failed(error), closed */
    if (a[at] == 0) w_drop_error(*(u32 *)(a + at + 4));
    return a[at];
}

EXPORT("preopens") u32 *preopens(void) {
    u32 n = 0;
    w_preopens(answer);
    u32 *list = (u32 *)answer, *item = (u32 *)list[0];
    for (u32 i = 0; i < list[1]; i++, item += 3) {
        table[used] = item[0];
        streams[used++] = 0;
        for (u32 k = 0; k < item[2]; k++) out[n++] = ((u8 *)item[1])[k];
        out[n++] = '\n';
    }
    returned[0] = (u32)out;
    returned[1] = n;
    reset();
    return returned;
}
EXPORT("drop") void drop(u32 h) { if (streams[h]) w_drop_dir(table[h]); else w_drop(table[h]); }
EXPORT("open-at") s64 open_at(u32 d, u32 pf, const u8 *p, u32 n, u32 of, u32 fl) {
    w_open_at(table[d], pf, p, n, of, fl, answer);
    return opened(0);
}
static s64 told(void) {
    u8 *a = (u8 *)answer;
    s64 r = a[0] ? -1 - (s64)a[8] : (s64)a[8] | (s64)(*(u64 *)(a + 24) << 8);
    reset();
    return r;
}
EXPORT("stat-at") s64 stat_at(u32 d, u32 pf, const u8 *p, u32 n) { w_stat_at(table[d], pf, p, n, answer); return told(); }
EXPORT("stat") s64 stat(u32 h) { w_stat(table[h], answer); return told(); }
static s64 hashed(void) {
    u8 *a = (u8 *)answer;
    s64 r = a[0] ? -1 - (s64)a[8] : (s64)(answer[1] >> 2);
    reset();
    return r;
}
EXPORT("hash-at") s64 hash_at(u32 d, u32 pf, const u8 *p, u32 n) { w_hash_at(table[d], pf, p, n, answer); return hashed(); }
EXPORT("hash") s64 hash(u32 h) { w_hash(table[h], answer); return hashed(); }
static s64 small(void) {
    u8 *a = (u8 *)answer;
    s64 r = a[0] ? -1 - (s64)a[1] : a[1];
    reset();
    return r;
}
EXPORT("get-type") s64 get_type(u32 h) { w_get_type(table[h], answer); return small(); }
EXPORT("get-flags") s64 get_flags(u32 h) { w_get_flags(table[h], answer); return small(); }
EXPORT("read") u32 *read(u32 h, u64 length, u64 offset) {
    u32 *a = (u32 *)answer;
    w_read(table[h], length, offset, answer);
    return *(u8 *)a ? failure(*(u8 *)(a + 1)) : bytes((u8 *)a[1], a[2]);
}
EXPORT("read-stream") u32 *read_stream(u32 h, u64 offset) {
    u32 *a = (u32 *)answer;
    w_read_stream(table[h], offset, answer);
    if (*(u8 *)a) return failure(*(u8 *)(a + 1));
    u32 stream = a[1];
    w_blocking_read(stream, sizeof out, answer);
    u32 bad = *(u8 *)a, at = a[1], n = a[2];
    if (bad && stream_failure((u8 *)a, 4) == 1) bad = 0, n = 0; /* closed: the end */
    w_drop_in(stream);
    return bad ? failure(99) : bytes((u8 *)at, n);
}
EXPORT("write") s64 write(u32 h, const u8 *p, u32 n, u64 offset) {
    w_write(table[h], p, n, offset, answer);
    u8 *a = (u8 *)answer;
    s64 r = a[0] ? -1 - (s64)a[8] : (s64)answer[1];
    reset();
    return r;
}
static s64 written(const u8 *p, u32 n) {
    u8 *a = (u8 *)answer;
    if (a[0]) return plain(4);
    u32 stream = *(u32 *)(a + 4);
    w_blocking_write(stream, p, n, answer);
    s64 r = a[0] ? -100 - (s64)stream_failure(a, 4) : (s64)n;
    w_drop_out(stream);
    reset();
    return r;
}
EXPORT("write-stream") s64 write_stream(u32 h, const u8 *p, u32 n, u64 offset) {
    w_write_stream(table[h], offset, answer);
    return written(p, n);
}
EXPORT("append-stream") s64 append_stream(u32 h, const u8 *p, u32 n) { w_append_stream(table[h], answer); return written(p, n); }
EXPORT("set-size") s64 set_size(u32 h, u64 size) { w_set_size(table[h], size, answer); return plain(1); }
EXPORT("set-times") s64 set_times(u32 h) { w_set_times(table[h], 2, 1000, 0, 2, 1000, 0, answer); return plain(1); }
EXPORT("set-times-at") s64 set_times_at(u32 d, u32 pf, const u8 *p, u32 n) {
    w_set_times_at(table[d], pf, p, n, 2, 1000, 0, 2, 1000, 0, answer);
    return plain(1);
}
EXPORT("sync") s64 sync(u32 h) { w_sync(table[h], answer); return plain(1); }
EXPORT("sync-data") s64 sync_data(u32 h) { w_sync_data(table[h], answer); return plain(1); }
EXPORT("advise") s64 advise(u32 h) { w_advise(table[h], 0, 1, 0, answer); return plain(1); }
EXPORT("is-same") s64 is_same(u32 a, u32 b) { return w_is_same(table[a], table[b]); }
EXPORT("read-directory") s64 read_directory(u32 d) { w_read_directory(table[d], answer); return opened(1); }
EXPORT("entries") u32 *entries(u32 d) {
    u32 *a = (u32 *)answer, n = 0, code = 0;
    w_read_directory(table[d], answer);
    if (*(u8 *)a) return failure(*(u8 *)(a + 1));
    u32 stream = a[1];
    for (;;) { /* result<option<directory-entry>, error-code>: tag, tag at 4, type at 8, name at 12 */
        w_entry(stream, answer);
        if (*(u8 *)a) { code = 1 + *(u8 *)(a + 1); break; }
        if (!*(u8 *)(a + 1)) break;
        out[n++] = '0' + *(u8 *)(a + 2);
        for (u32 k = 0; k < a[4] && n < sizeof out - 2; k++) out[n++] = ((u8 *)a[3])[k];
        out[n++] = '\n';
        reset();
    }
    w_drop_dir(stream);
    if (code) return failure(code - 1);
    returned[0] = (u32)out;
    returned[1] = n;
    return returned;
}
EXPORT("mkdir") s64 mkdir_(u32 d, const u8 *p, u32 n) { w_mkdir(table[d], p, n, answer); return plain(1); }
EXPORT("rmdir") s64 rmdir_(u32 d, const u8 *p, u32 n) { w_rmdir(table[d], p, n, answer); return plain(1); }
EXPORT("unlink") s64 unlink_(u32 d, const u8 *p, u32 n) { w_unlink(table[d], p, n, answer); return plain(1); }
EXPORT("readlink") u32 *readlink_(u32 d, const u8 *p, u32 n) {
    u32 *a = (u32 *)answer;
    w_readlink(table[d], p, n, answer);
    return *(u8 *)a ? failure(*(u8 *)(a + 1)) : bytes((u8 *)a[1], a[2]);
}
EXPORT("symlink") s64 symlink_(u32 d, const u8 *t, u32 tn, const u8 *p, u32 n) {
    w_symlink(table[d], t, tn, p, n, answer);
    return plain(1);
}
EXPORT("rename") s64 rename_(u32 d, const u8 *p, u32 n, u32 to, const u8 *q, u32 m) {
    w_rename(table[d], p, n, table[to], q, m, answer);
    return plain(1);
}
EXPORT("link") s64 link_(u32 d, u32 pf, const u8 *p, u32 n, u32 to, const u8 *q, u32 m) {
    w_link(table[d], pf, p, n, table[to], q, m, answer);
    return plain(1);
}
EXPORT("random") u64 random_(void) { return w_random(); }
EXPORT("loop-open") s64 loop_open(u32 d, const u8 *p, u32 n, u32 times) {
    u32 *a = (u32 *)answer, kept = heap;
    s64 total = 0;
    while (times--) {
        w_open_at(table[d], 1, p, n, 0, 1, answer);
        if (*(u8 *)a) { reset(); return -1 - (s64)*(u8 *)(a + 1); }
        u32 file = a[1];
        w_read_stream(file, 0, answer);
        u32 stream = a[1];
        w_blocking_read(stream, 4096, answer);
        total += a[2];
        w_drop_in(stream);
        w_drop(file);
        heap = kept;
    }
    reset();
    return total;
}
EXPORT("loop-stat") s64 loop_stat(u32 d, const u8 *p, u32 n, u32 times) {
    u8 *a = (u8 *)answer;
    s64 total = 0;
    while (times--) {
        w_stat_at(table[d], 1, p, n, answer);
        if (a[0]) { reset(); return -1 - (s64)a[8]; }
        total += *(u64 *)(a + 24);
    }
    reset();
    return total;
}
static volatile u32 came_back; /* so that it stays a recursion */
static __attribute__((noinline)) s64 deeper(u32 d, const u8 *p, u32 n, u32 depth) {
    if (depth) {
        s64 r = deeper(d, p, n, depth - 1);
        came_back++;
        return r;
    }
    w_stat_at(table[d], 1, p, n, answer);
    return *(u8 *)answer ? -1 - (s64)((u8 *)answer)[8] : 0;
}
EXPORT("deep") s64 deep(u32 d, const u8 *p, u32 n, u32 depth) { s64 r = deeper(d, p, n, depth); reset(); return r; }
EXPORT("hoard") s64 hoard(u32 times) {
    s64 taken = 0;
    while (times--) { w_preopens(answer); taken += ((u32 *)answer)[1]; reset(); }
    return taken;
}

;; Three instances of a module with four memories each: a limit that counts one memory lets twelve times as much through.
(component
  (core module $module
    (memory $a 1) (memory $b 1) (memory $c 1) (memory $d 1)
    (func (export "grow") (result i32)
      (local $pages i32)
      (loop $more
        (if (i32.ne (memory.grow $a (i32.const 16)) (i32.const -1)) (then
          (memory.fill $a (i32.mul (i32.sub (memory.size $a) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
          (local.set $pages (i32.add (local.get $pages) (i32.const 16))) (br $more)))
        (if (i32.ne (memory.grow $b (i32.const 16)) (i32.const -1)) (then
          (memory.fill $b (i32.mul (i32.sub (memory.size $b) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
          (local.set $pages (i32.add (local.get $pages) (i32.const 16))) (br $more)))
        (if (i32.ne (memory.grow $c (i32.const 16)) (i32.const -1)) (then
          (memory.fill $c (i32.mul (i32.sub (memory.size $c) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
          (local.set $pages (i32.add (local.get $pages) (i32.const 16))) (br $more)))
        (if (i32.ne (memory.grow $d (i32.const 16)) (i32.const -1)) (then
          (memory.fill $d (i32.mul (i32.sub (memory.size $d) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
          (local.set $pages (i32.add (local.get $pages) (i32.const 16))) (br $more))))
      (local.get $pages)))
  (core module $sum
    (import "one" "grow" (func $one (result i32)))
    (import "two" "grow" (func $two (result i32)))
    (import "three" "grow" (func $three (result i32)))
    (func (export "grow") (result i32) (i32.add (call $one) (i32.add (call $two) (call $three)))))
  (core instance $one (instantiate $module))
  (core instance $two (instantiate $module))
  (core instance $three (instantiate $module))
  (core instance $all (instantiate $sum
    (with "one" (instance $one)) (with "two" (instance $two)) (with "three" (instance $three))))
  ;; Grows every memory until it refuses; gives the pages of 64 KiB that were added and written to.
  (func (export "grow") (result u32) (canon lift (core func $all "grow"))))

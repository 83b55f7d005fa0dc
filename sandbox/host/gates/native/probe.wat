;; What `Gates.self_test` runs: a guest that asks for the first and for a far version of WASI 0.2, and counts its preopens.
(component
  (import "wasi:filesystem/types@0.2.0" (instance $types-first
    (export "descriptor" (type (sub resource)))))
  (alias export $types-first "descriptor" (type $descriptor-first))
  (import "wasi:filesystem/preopens@0.2.0" (instance $first
    (alias outer 1 $descriptor-first (type $d))
    (export "descriptor" (type $descriptor (eq $d)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
  (import "wasi:filesystem/types@0.2.99" (instance $types-far
    (export "descriptor" (type (sub resource)))))
  (alias export $types-far "descriptor" (type $descriptor-far))
  (import "wasi:filesystem/preopens@0.2.99" (instance $far
    (alias outer 1 $descriptor-far (type $d))
    (export "descriptor" (type $descriptor (eq $d)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -16))))))
  (core instance $m (instantiate $memory))
  (alias core export $m "memory" (core memory $mem))
  (alias core export $m "realloc" (core func $realloc))
  (core func $ask-first (canon lower (func $first "get-directories") (memory $mem) (realloc $realloc)))
  (core func $ask-far (canon lower (func $far "get-directories") (memory $mem) (realloc $realloc)))
  (core module $count
    (import "gate" "first" (func $first (param i32)))
    (import "gate" "far" (func $far (param i32)))
    (import "gate" "memory" (memory 1))
    (func (export "first") (result i32) (call $first (i32.const 16)) (i32.load (i32.const 20)))
    (func (export "far") (result i32) (call $far (i32.const 16)) (i32.load (i32.const 20))))
  (core instance $c (instantiate $count (with "gate" (instance
    (export "first" (func $ask-first)) (export "far" (func $ask-far)) (export "memory" (memory $mem))))))
  (func (export "first") (result u32) (canon lift (core func $c "first")))
  (func (export "far") (result u32) (canon lift (core func $c "far"))))

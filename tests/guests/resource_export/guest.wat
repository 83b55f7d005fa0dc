;; Exports a resource, a function that makes one, and one plain function.
(component
  (type $file (resource (rep i32)))
  (core func $file-new (canon resource.new $file))
  (core module $module
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "open") (result i32) (call $new (i32.const 7)))
    (func (export "size") (param i32) (result i32) (local.get 0))
    (func (export "plain") (result i32) (i32.const 1)))
  (core instance $it (instantiate $module (with "" (instance (export "new" (func $file-new))))))
  (func $open (result (own $file)) (canon lift (core func $it "open")))
  (func $size (param "self" (borrow $file)) (result u32) (canon lift (core func $it "size")))
  (component $shim
    (import "file" (type $file (sub resource)))
    (import "open" (func $open (result (own $file))))
    (import "size" (func $size (param "self" (borrow $file)) (result u32)))
    (export $out "file" (type $file))
    (export "open" (func $open) (func (result (own $out))))
    (export "[method]file.size" (func $size) (func (param "self" (borrow $out)) (result u32))))
  (instance $files (instantiate $shim
    (with "file" (type $file)) (with "open" (func $open)) (with "size" (func $size))))
  (export "acme:store/files@1.0.0" (instance $files))
  (func (export "plain") (result u32) (canon lift (core func $it "plain"))))

;; The core module's start function traps: the component cannot be instantiated.
(component
  (core module $module
    (func $start unreachable)
    (start $start)
    (func (export "fine") (result i32) (i32.const 1)))
  (core instance $it (instantiate $module))
  (func (export "fine") (result u32) (canon lift (core func $it "fine"))))

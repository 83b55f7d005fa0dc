;; The core module's start function never ends: instantiating the component is enough to hang.
(component
  (core module $module
    (func $start (loop $again (br $again)))
    (start $start)
    (func (export "fine") (result i32) (i32.const 1)))
  (core instance $it (instantiate $module))
  (func (export "fine") (result u32) (canon lift (core func $it "fine"))))

;; Asks for an interface that is nobody's.
(component
  (import "acme:x/y@1.0.0" (instance $y (export "launch" (func (param "target" string)))))
  (import "wasi:nn/inference@0.2.0-rc" (instance $nn (export "load" (func))))
  (core module $module (func (export "fine") (result i32) (i32.const 1)))
  (core instance $it (instantiate $module))
  (func (export "fine") (result u32) (canon lift (core func $it "fine"))))

;; One harmless function; what is hostile is what hostile_docs/docs.py writes into `package-docs`.
(component
  (core module $module (func (export "weather") (result i32) (i32.const 21)))
  (core instance $it (instantiate $module))
  (func (export "weather") (result u32) (canon lift (core func $it "weather")))
  (func (export "long") (result u32) (canon lift (core func $it "weather"))))

;; The core module's start function takes and touches half a gigabyte before anybody calls anything.
(component
  (core module $module
    (memory 1)
    (func $start
      (if (i32.ne (memory.grow (i32.const 8192)) (i32.const -1))
        (then (memory.fill (i32.const 65536) (i32.const 1) (i32.const 536870912)))))
    (start $start)
    (func (export "pages") (result i32) (memory.size)))
  (core instance $it (instantiate $module))
  ;; The pages it has.
  (func (export "pages") (result u32) (canon lift (core func $it "pages"))))

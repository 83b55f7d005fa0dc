;; A table of function references grows without using any linear memory.
(component
  (core module $module
    (table $t 0 funcref)
    (func (export "grow") (param $step i32) (result i32)
      (loop $more
        (br_if $more (i32.ne (table.grow $t (ref.null func) (local.get $step)) (i32.const -1))))
      (table.size $t))
    (func (export "grow-once") (param $elements i32) (result i32)
      (table.grow $t (ref.null func) (local.get $elements))))
  (core instance $it (instantiate $module))
  ;; Grows by `step` elements until that is refused; gives the elements it then has.
  (func (export "grow") (param "step" u32) (result u32) (canon lift (core func $it "grow")))
  ;; The size before, or -1 where the growth was refused.
  (func (export "grow-once") (param "elements" u32) (result s32) (canon lift (core func $it "grow-once"))))

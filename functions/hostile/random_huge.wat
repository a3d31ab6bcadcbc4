;; Asks for 48 MiB of random bytes in one host call, again and again.
(module
  (import "wasi_snapshot_preview1" "random_get"
    (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 800)
  (func (export "_start")
    (loop $again
      (drop (call $random_get (i32.const 0) (i32.const 50331648)))
      (br $again))))

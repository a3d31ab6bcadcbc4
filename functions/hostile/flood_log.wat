;; Writes 2,000 times 4 KiB of zeros and then "the end" to stderr, and answers "ok".
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\10\00\00\00\10\00\00")
  (data (i32.const 16) "\20\00\00\00\07\00\00\00")
  (data (i32.const 24) "\28\00\00\00\02\00\00\00")
  (data (i32.const 32) "the end")
  (data (i32.const 40) "ok")
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const 2000))
    (loop $again
      (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (drop (call $fd_write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 8)))
    (drop (call $fd_write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 8)))))

;; Waits for a million clocks at once, so that the host would keep a million timers.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1300)
  (func (export "_start")
    (drop (call $poll_oneoff
      (i32.const 16) (i32.const 49000000) (i32.const 1000000) (i32.const 0)))))

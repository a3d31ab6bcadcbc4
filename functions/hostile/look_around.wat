;; Ends with code 1 if a directory was given to it (descriptor 3 is open), else with code 0.
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept"
    (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.eqz (call $fd_prestat_get (i32.const 3) (i32.const 0)))
      (then (call $proc_exit (i32.const 1))))
    (if (i32.eqz (call $sock_accept (i32.const 0) (i32.const 0) (i32.const 0)))
      (then (call $proc_exit (i32.const 1))))))

;; Wants 256 MiB from the start.
(module
  (memory (export "memory") 4096)
  (func (export "_start")))

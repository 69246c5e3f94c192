;; SPDX-License-Identifier: GPL-2.0 OR MIT
;; A collector that protects pages and stops threads by signals; a compiler at run time.
(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(compile 'fib)
(print (fib 20))
(let ((m (sb-thread:make-mutex)) (sum 0))
  (mapc #'sb-thread:join-thread
        (loop for n from 1 to 4 collect
              (let ((n n)) (sb-thread:make-thread
                            (lambda () (dotimes (i 200)
                                         (make-array 1000)
                                         (sb-thread:with-mutex (m) (incf sum n))))))))
  (print sum))
(defvar *keep* (loop for i below 20000 collect (list i (format nil "~a" i))))
(sb-ext:gc :full t)
(print (length *keep*))
(print (handler-case (labels ((deep (n) (+ 1 (deep (+ n 1))))) (deep 0))
         (storage-condition () 'stack-exhausted)))
(print (handler-case (sb-sys:sap-ref-8 (sb-sys:int-sap 8) 0) (error (e) (type-of e))))
(print (sb-ext:process-exit-code (sb-ext:run-program "/bin/sh" '("-c" "exit 7"))))
(terpri)
(sb-ext:exit :code 4)

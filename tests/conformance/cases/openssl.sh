# SPDX-License-Identifier: GPL-2.0 OR MIT
# Digests, ciphers, keys, a TLS server and its client.
seq 5000 >data
openssl dgst -sha256 data
openssl dgst -blake2b512 data
openssl enc -aes-256-ctr -pbkdf2 -iter 100 -S 0011223344556677 -k secret -in data -out enc
openssl dgst -md5 enc
openssl enc -d -aes-256-ctr -pbkdf2 -iter 100 -S 0011223344556677 -k secret -in enc | cmp - data && echo restored
openssl ecparam -name prime256v1 -genkey -noout -out key
openssl req -x509 -key key -subj /CN=test -days 9 -out cert -config /dev/null 2>&1
openssl dgst -sha256 -sign key -out sig data
openssl ec -in key -pubout -out pub 2>/dev/null
openssl dgst -sha256 -verify pub -signature sig data
openssl s_server -key key -cert cert -port 4433 -www >/dev/null 2>&1 &
server=$!
for n in 1 2 3 4 5 6 7 8 9; do
	sleep 0.2
	(printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.5) |
		openssl s_client -connect 127.0.0.1:4433 -quiet 2>/dev/null >page
	[ -s page ] && break
done
grep -c 'HTTP/1.0 200' page
kill $server; wait $server; echo "server $?"

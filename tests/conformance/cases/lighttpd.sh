# SPDX-License-Identifier: GPL-2.0 OR MIT
# One process with an event loop, and CGI children.
seq 2000 >page.html
printf '#!/bin/sh\necho "Content-Type: text/plain"; echo; echo "cgi of $REQUEST_METHOD"\n' >x.cgi; chmod +x x.cgi
cat >conf <<END
server.port = 7003
server.bind = "127.0.0.1"
server.document-root = "$PWD"
server.modules = ( "mod_cgi" )
cgi.assign = ( ".cgi" => "/bin/sh" )
END
lighttpd -D -f conf 2>log &
server=$!
for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2; bash -c 'exec 3<>/dev/tcp/127.0.0.1/7003' 2>/dev/null && break; done
ab -q -n 60 -c 5 http://127.0.0.1:7003/page.html | grep -E 'Complete|Failed|Document Length|transferred'
ab -q -n 6 -c 2 http://127.0.0.1:7003/x.cgi | grep -E 'Complete|Failed|Non-2xx'
bash -c 'exec 3<>/dev/tcp/127.0.0.1/7003; printf "GET /x.cgi HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
kill -TERM $server; wait $server; echo "server $?"

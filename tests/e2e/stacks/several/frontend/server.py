import http.server
import signal
import threading

server = http.server.ThreadingHTTPServer(("", 3000), http.server.SimpleHTTPRequestHandler)
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()

//! nginx as a reverse proxy: one worker, connections to the server kept alive, no access log, and the headers that the
//! platform's ingress adds as well.

use std::path::Path;

/// Its configuration in this directory, from this port to that server.
pub(super) fn configuration(dir: &Path, port: u16, server: &str) -> String {
    let dir = dir.display();
    format!(
        "worker_processes 1;
pid {dir}/pid;
error_log {dir}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/client_body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream server {{
        server {server};
        keepalive 512;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"
    )
}

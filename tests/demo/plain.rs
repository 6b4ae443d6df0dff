//! temporary
use serde_json::json;
use std::net::SocketAddr;
use tokio::process::{Child, Command};
pub struct Envoy { pub edge: SocketAddr, _child: Child }
pub async fn start(upstream: SocketAddr) -> Result<Envoy, String> {
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (p, a) = (port(), port());
    let sa = |p: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": p}});
    let cfg = json!({"admin": {"address": sa(a)}, "static_resources": {
      "listeners": [{"name":"edge","address": sa(p),"filter_chains":[{"filters":[{"name":"hcm","typed_config":{
        "@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"edge",
        "route_config":{"virtual_hosts":[{"name":"all","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"origin","timeout":"15s"}}]}]},
        "http_filters":[{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}],
      "clusters":[{"name":"origin","type":"STATIC","connect_timeout":"0.25s","circuit_breakers":{"thresholds":[{"max_connections":20000,"max_pending_requests":20000,"max_requests":20000}]},
        "load_assignment":{"cluster_name":"origin","endpoints":[{"lb_endpoints":[{"endpoint":{"address":sa(upstream.port())}}]}]}}]}});
    let child = Command::new(std::env::var("ENVOY").unwrap()).args(["--config-yaml", &cfg.to_string(), "--disable-hot-restart","--concurrency","2","--log-level","warn"]).kill_on_drop(true).spawn().map_err(|e| e.to_string())?;
    let edge = SocketAddr::from(([127,0,0,1],p));
    for _ in 0..500 { if tokio::net::TcpStream::connect(edge).await.is_ok() { break; } tokio::time::sleep(std::time::Duration::from_millis(20)).await; }
    Ok(Envoy{edge, _child: child})
}

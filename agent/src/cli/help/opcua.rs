//! The Chinese texts of the commands about OPC UA servers: `lineside trust` and `lineside browse`.

use super::ITSELF;

pub(super) const TEXTS: [(&str, &str, &str); 20] = [
    (
        "trust",
        ITSELF,
        "显示 OPC UA 服务器的证书，并在设备点表中写明信任它",
    ),
    ("trust", "machine", "设备"),
    ("trust", "connection", "连接（设备有多个连接时）"),
    ("trust", "yes", "不询问，直接写入"),
    (
        "trust",
        "renew",
        "改为更新程序自己的证书，密钥不变；各服务器须重新信任它",
    ),
    ("trust", "json", "输出 JSON；不询问"),
    (
        "browse",
        ITSELF,
        "以树形显示 OPC UA 服务器的地址空间，或据此生成设备点表",
    ),
    ("browse", "url", "服务器，opc.tcp://主机[:端口][/路径]"),
    (
        "browse",
        "machine",
        "改用此已配置设备的服务器及其安全设置和用户",
    ),
    ("browse", "connection", "连接（设备有多个连接时）"),
    ("browse", "depth", "Objects 以下的层数"),
    ("browse", "limit", "节点总数上限"),
    ("browse", "values", "同时读取当前值"),
    ("browse", "map", "改为输出该名称设备的点表"),
    (
        "browse",
        "security",
        "None、Basic256Sha256、Aes128-Sha256-RsaOaep 或 Aes256-Sha256-RsaPss",
    ),
    ("browse", "mode", "Sign 或 SignAndEncrypt"),
    ("browse", "user", "用户；不指定时为匿名"),
    ("browse", "password_file", "存放该用户密码的文件"),
    ("browse", "trust", "服务器证书的指纹，sha256:…"),
    ("browse", "json", "输出 JSON"),
];

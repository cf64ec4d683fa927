//! Starts Apache Kafka in KRaft mode: one process that is broker and controller.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificate::Certificate,
    process::{Process, free_port},
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Any id of 16 bytes in base64.
const CLUSTER_ID: &str = "cHJpc20tdGVzdC1jbHVzdA";
/// The virtual machine starts quickly and stays small. It writes no more than warnings.
const JAVA: [&str; 5] = [
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Djava.awt.headless=true",
];

/// Options of a Kafka server.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// A user and a password that clients must log in with; by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    pub login: Option<(String, String)>,
    /// Whether connections must be encrypted.
    pub tls: bool,
    /// With TLS: whether clients must present the certificate of [`Kafka::client_certificate`].
    pub client_certificates: bool,
    /// More lines of the configuration file.
    pub configuration: String,
}

/// A Kafka server that keeps its data in a temporary folder, so that it has its data when it is killed and started again.
pub struct Kafka {
    options: KafkaOptions,
    folder: TempDir,
    port: u16,
    controller: u16,
    certificate: Option<Certificate>,
    process: Option<Process>,
}

impl Kafka {
    /// Starts a server without login and TLS.
    pub fn start() -> Result<Self, String> {
        Self::start_with(KafkaOptions::default())
    }

    /// Starts a server.
    pub fn start_with(options: KafkaOptions) -> Result<Self, String> {
        let mut last = String::new();
        for _ in 0..3 {
            let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
            let certificate = if options.tls { Some(Certificate::make(folder.path())?) } else { None };
            let (port, controller) = (free_port()?, free_port()?);
            let mut kafka = Self { options: options.clone(), folder, port, controller, certificate, process: None };
            kafka.write_configuration()?;
            kafka.format()?;
            match kafka.resume() {
                Ok(()) => return Ok(kafka),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// `kafka://127.0.0.1:PORT`, or with TLS `kafka://localhost:PORT`
    pub fn url(&self) -> String {
        format!("kafka://{}:{}", self.host(), self.port)
    }

    fn host(&self) -> &'static str {
        if self.options.tls { "localhost" } else { "127.0.0.1" }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate to trust.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|certificate| certificate.certificate.clone())
    }

    /// Certificate and key of a client that the server trusts.
    pub fn client_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.as_ref().map(|certificate| (certificate.certificate.clone(), certificate.key.clone()))
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it without ending it (SIGSTOP), or lets it continue.
    pub fn pause(&self, paused: bool) {
        if let Some(process) = &self.process {
            process.pause(paused);
        }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port with the same data.
    pub fn resume(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("kafka.log");
        let mut arguments: Vec<String> = JAVA.iter().map(ToString::to_string).collect();
        arguments.extend(["-cp".to_owned(), class_path()?, "kafka.Kafka".to_owned(), self.configuration_file()]);
        self.process = Some(Process::start("java", &arguments, &log.to_string_lossy())?);
        let began = Instant::now();
        let read_log = || fs::read_to_string(&log).unwrap_or_default();
        while began.elapsed() < START_TIMEOUT {
            // The broker listens when it has its data and has joined the cluster.
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if read_log().contains("Exiting Kafka due to fatal exception") {
                return Err(format!("Kafka does not start: {}", read_log().trim()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("Kafka does not listen within {START_TIMEOUT:?}: {}", read_log().trim()))
    }

    fn configuration_file(&self) -> String {
        self.folder.path().join("server.properties").to_string_lossy().into_owned()
    }

    fn write_configuration(&self) -> Result<(), String> {
        let (port, controller, host) = (self.port, self.controller, self.host());
        let protocol = match (self.options.tls, self.options.login.is_some()) {
            (false, false) => "PLAINTEXT",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        };
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=CLIENTS://{host}:{port}\n\
             listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=CLIENTS\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             log.retention.check.interval.ms=200\n\
             log.initial.task.delay.ms=200\n\
             log.cleaner.enable=false\n\
             num.network.threads=2\n\
             num.io.threads=4\n",
            self.folder.path().join("data").display(),
        );
        if let Some((user, password)) = &self.options.login {
            let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
            let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
            text += &format!(
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
                 sasl.mechanism.inter.broker.protocol=PLAIN\n\
                 listener.name.clients.plain.sasl.jaas.config={plain} username=\"{user}\" password=\"{password}\" user_{user}=\"{password}\";\n\
                 listener.name.clients.scram-sha-256.sasl.jaas.config={scram}\n\
                 listener.name.clients.scram-sha-512.sasl.jaas.config={scram}\n"
            );
        }
        if let Some(Certificate { certificate, key }) = &self.certificate {
            let authentication = if self.options.client_certificates { "required" } else { "none" };
            // Kafka reads the chain and its key from one file.
            let both = [certificate, key].map(|file| fs::read_to_string(file).map_err(|error| error.to_string()));
            let [chain, private] = both;
            let store = self.folder.path().join("server.pem");
            fs::write(&store, private? + &chain?).map_err(|error| format!("can't write {}: {error}", store.display()))?;
            text += &format!(
                "ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\nssl.client.auth={authentication}\n",
                store.display(),
                certificate.display(),
            );
        }
        text += &self.options.configuration;
        fs::write(self.configuration_file(), text).map_err(|error| format!("can't write the configuration of Kafka: {error}"))
    }

    /// Prepares the folder of the data, and adds the user.
    fn format(&self) -> Result<(), String> {
        let mut command = Command::new("java");
        command.args(JAVA).args(["-cp", &class_path()?, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        command.arg(self.configuration_file());
        if let Some((user, password)) = &self.options.login {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                command.args(["--add-scram", &format!("{mechanism}=[name={user},password={password}]")]);
            }
        }
        let output = command.output().map_err(|error| format!("java is not installed ({error}); run scripts/install-test-servers"))?;
        if output.status.success() {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            Err(format!("Kafka does not format its folder: {}", text.trim()))
        }
    }
}

/// The files that scripts/install-test-servers installed.
fn class_path() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/kafka/libs");
    if folder.exists() {
        Ok(format!("{}/*", folder.display()))
    } else {
        Err("Kafka is not installed; run scripts/install-test-servers".to_owned())
    }
}

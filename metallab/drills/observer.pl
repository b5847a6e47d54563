# What a client sees of one address, tick after tick: a fresh TCP connection and a fresh datagram, each from a port of its
# own, a message on one long TCP connection and on one long UDP flow; and every ARP packet about the address.
#
#   perl - ADDRESS PORT EVERY LIMIT [INTERFACE] <observer.pl
#
# ADDRESS:PORT is agnhost netexec (HTTP and UDP), EVERY the seconds between ticks, LIMIT the seconds after which no answer
# is a failure. Writes "pid N", then a line for each probe as soon as it is decided, and tcpdump's for each ARP packet:
#   probe BEGAN tcp|udp|tcp-long|udp-long ok|refused|timeout|... SECONDS
#   arp LINE
# Times are seconds since 1970 of this machine's clock. Ends at SIGTERM, or when nobody reads any more.
# Needs no more than perl-base, which every Debian has.
use strict;
use warnings;
use Errno qw(EINPROGRESS EAGAIN ECONNREFUSED EHOSTUNREACH ENETUNREACH ECONNRESET EPIPE ETIMEDOUT);
use Fcntl qw(F_SETFL F_GETFL O_NONBLOCK);
use POSIX ();
use Socket qw(PF_INET SOCK_STREAM SOCK_DGRAM SOL_SOCKET SO_ERROR inet_aton pack_sockaddr_in);

my ($address, $port, $every, $limit, $interface) = @ARGV;
my $target = pack_sockaddr_in($port, inet_aton($address));
# A long connection that has not answered for so long is given up and opened anew.
my $patience = 15 * $limit;

# perl-base has no Time::HiRes; the number of clock_gettime is the kernel's, by architecture.
my %numbers = (x86_64 => 228, aarch64 => 113);
my $clock = $numbers{(POSIX::uname())[4]} or die "observer: no clock known for this architecture\n";

sub now {
    my $spec = "\0" x 16;
    syscall($clock, 0, $spec) == 0 or die "observer: clock_gettime: $!\n";
    my ($seconds, $nano) = unpack "q2", $spec;
    return $seconds + $nano / 1e9;
}

my %words = (
    ECONNREFUSED() => "refused", EHOSTUNREACH() => "no-route", ENETUNREACH() => "no-route",
    ECONNRESET() => "reset", EPIPE() => "reset", ETIMEDOUT() => "timeout",
);

sub word { my ($number) = @_; return $words{$number} // "errno-$number" }

my $said = "";

sub tell_probe {
    my ($began, $kind, $how) = @_;
    $said .= sprintf "probe %.6f %s %s %.6f\n", $began, $kind, $how, now() - $began;
}

sub nonblocking { my ($handle) = @_; fcntl $handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK }

# -- fresh ones: each a hash {kind, began, handle, number, connected}, by file number

my %fresh;

sub decide {
    my ($probe, $how) = @_;
    tell_probe($probe->{began}, $probe->{kind}, $how);
    delete $fresh{fileno $probe->{handle}};
    close $probe->{handle};
}

sub begin_fresh {
    my ($kind, $number) = @_;
    my $began = now();
    socket(my $handle, PF_INET, $kind eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0) or die "observer: socket: $!\n";
    nonblocking($handle);
    my $probe = {kind => $kind, began => $began, handle => $handle, number => $number, connected => 0};
    $fresh{fileno $handle} = $probe;
    if (!connect($handle, $target) && $! != EINPROGRESS) { return decide($probe, word($! + 0)) }
    if ($kind eq "udp" && !defined send($handle, "echo $number", 0)) { decide($probe, word($! + 0)) }
}

sub serve_fresh {
    my ($probe) = @_;
    if ($probe->{kind} eq "tcp" && !$probe->{connected}) {
        my $error = unpack "i", getsockopt $probe->{handle}, SOL_SOCKET, SO_ERROR;
        return decide($probe, word($error)) if $error;
        $probe->{connected} = 1;
        my $asked = "GET /echo?msg=$probe->{number} HTTP/1.0\r\n\r\n";
        return decide($probe, word($! + 0)) if !defined send $probe->{handle}, $asked, 0;
        return;
    }
    my $got = sysread $probe->{handle}, my $answer, 4096;
    if (!defined $got) {
        decide($probe, word($! + 0)) if $! != EAGAIN;
        return;
    }
    my $right = $probe->{kind} eq "tcp" ? $answer =~ m{^HTTP/1\.[01] 200 } : $answer eq $probe->{number};
    decide($probe, $right ? "ok" : $got ? "odd-answer" : "reset");
}

# -- the long TCP connection: messages in order, the answers counted

my $stream;    # {handle, since, connected, heard, rest}
my @sent;      # [began, decided]

sub close_stream {
    my ($how) = @_;
    close $stream->{handle};
    undef $stream;
    $_->[1] or tell_probe($_->[0], "tcp-long", $how) for @sent;
    @sent = ();
}

sub tick_stream {
    my ($number) = @_;
    my $began = now();
    if (!$stream) {
        socket(my $handle, PF_INET, SOCK_STREAM, 0) or die "observer: socket: $!\n";
        nonblocking($handle);
        $stream = {handle => $handle, since => $began, connected => 0, heard => $began, rest => ""};
        push @sent, [$began, 0];
        close_stream(word($! + 0)) if !connect($handle, $target) && $! != EINPROGRESS;
        return;
    }
    push @sent, [$began, 0];
    return if !$stream->{connected};
    my $asked = "GET /echo?msg=$number HTTP/1.1\r\nHost: x\r\n\r\n";
    close_stream(word($! + 0)) if !defined send($stream->{handle}, $asked, 0) && $! != EAGAIN;
}

sub serve_stream {
    if (!$stream->{connected}) {
        my $error = unpack "i", getsockopt $stream->{handle}, SOL_SOCKET, SO_ERROR;
        return close_stream(word($error)) if $error;
        $stream->{connected} = 1;
        # What was to be said while it connected is said now.
        send $stream->{handle}, "GET /echo?msg=0 HTTP/1.1\r\nHost: x\r\n\r\n" x @sent, 0;
        return;
    }
    my $got = sysread $stream->{handle}, my $answer, 65536;
    if (!defined $got) {
        close_stream(word($! + 0)) if $! != EAGAIN;
        return;
    }
    return close_stream("reset") if !$got;
    $stream->{heard} = now();
    $stream->{rest} .= $answer;
    while ($stream->{rest} =~ s{^.*?HTTP/1\.1 200 }{}s) {
        my $message = shift @sent or next;
        tell_probe($message->[0], "tcp-long", "ok") if !$message->[1];
    }
    $stream->{rest} = substr $stream->{rest}, -16 if length $stream->{rest} > 16;
}

sub expire_stream {
    my ($now) = @_;
    for my $message (@sent) {
        next if $message->[1] || $now - $message->[0] < $limit;
        $message->[1] = 1;
        tell_probe($message->[0], "tcp-long", "timeout");
    }
    return if !$stream;
    close_stream("timeout") if !$stream->{connected} && $now - $stream->{since} >= $limit;
    close_stream("timeout") if $stream && @sent && $now - $stream->{heard} >= $patience;
}

# -- the long UDP flow: one port for all of it

socket(my $datagrams, PF_INET, SOCK_DGRAM, 0) or die "observer: socket: $!\n";
nonblocking($datagrams);
my %flying;    # number -> began

sub tick_datagrams {
    my ($number) = @_;
    my $began = now();
    if (!connect($datagrams, $target) || !defined send($datagrams, "echo $number", 0)) {
        return tell_probe($began, "udp-long", word($! + 0));
    }
    $flying{$number} = $began;
}

sub serve_datagrams {
    my $got = sysread $datagrams, my $answer, 4096;
    if (!defined $got) {
        return if $! == EAGAIN;
        # Of which datagram the network complains is not told: the newest is as good as any.
        my ($last) = sort { $b <=> $a } keys %flying;
        tell_probe(delete $flying{$last}, "udp-long", word($! + 0)) if defined $last;
        return;
    }
    my $began = delete $flying{$answer};
    tell_probe($began, "udp-long", "ok") if defined $began;
}

# -- the ARP packets

my ($arp, $tcpdump);
if ($interface) {
    my @capture = ("tcpdump", "-l", "-n", "-e", "-tt", "-i", $interface, "arp and host $address");
    $tcpdump = open($arp, "-|") // die "observer: fork: $!\n";
    if (!$tcpdump) {
        open STDERR, ">", "/dev/null";
        exec @capture or POSIX::_exit(127);
    }
    nonblocking($arp);
}
my $heard = "";

sub serve_arp {
    my $got = sysread $arp, $heard, 65536, length $heard;
    if (defined $got && !$got) { die "observer: tcpdump ended\n" }
    while ($heard =~ s/^(.*)\n//) { $said .= "arp $1\n" }
}

# -- the loop

my $ended = 0;
$SIG{TERM} = $SIG{INT} = sub { $ended = 1 };
$SIG{PIPE} = "IGNORE";
$| = 1;
print "pid $$\n";
my ($next, $number) = (now(), 0);
while (!$ended) {
    my $now = now();
    if ($now >= $next) {
        $number++;
        begin_fresh("tcp", $number);
        begin_fresh("udp", $number);
        tick_stream($number);
        tick_datagrams($number);
        # One that comes late is not made up for by two at once.
        $next += $every;
        $next = $now + $every if $next < $now;
    }
    for my $probe (values %fresh) { decide($probe, "timeout") if $now - $probe->{began} >= $limit }
    expire_stream($now);
    for my $old (keys %flying) {
        next if $now - $flying{$old} < $limit;
        tell_probe(delete $flying{$old}, "udp-long", "timeout");
    }
    if ($said ne "") {
        last if !print $said;
        $said = "";
    }
    my ($read, $write) = ("", "");
    for my $probe (values %fresh) {
        my $waits_to_write = $probe->{kind} eq "tcp" && !$probe->{connected};
        vec($waits_to_write ? $write : $read, fileno $probe->{handle}, 1) = 1;
    }
    vec($stream->{connected} ? $read : $write, fileno $stream->{handle}, 1) = 1 if $stream;
    vec($read, fileno $datagrams, 1) = 1;
    vec($read, fileno $arp, 1) = 1 if $arp;
    my $rest = $next - now();
    my $ready = select $read, $write, undef, $rest > 0 ? $rest : 0;
    next if $ready <= 0;
    for my $probe (values %fresh) {
        my $file = fileno $probe->{handle};
        serve_fresh($probe) if vec($read, $file, 1) || vec($write, $file, 1);
    }
    if ($stream) {
        my $file = fileno $stream->{handle};
        serve_stream() if vec($read, $file, 1) || vec($write, $file, 1);
    }
    serve_datagrams() if vec($read, fileno $datagrams, 1);
    serve_arp() if $arp && vec($read, fileno $arp, 1);
}
print $said;
if ($tcpdump) {
    kill "TERM", $tcpdump;
    close $arp;
}
# Whoever ended it has all he wanted: what tcpdump's status became is no matter.
POSIX::_exit(0);

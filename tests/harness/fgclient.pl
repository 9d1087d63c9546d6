#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# A client of the order protocol in another language, written from docs/protocol.md alone: a page
# that leaves something out is found by it.
#
# usage: fgclient.pl vectors PAGE
#        fgclient.pl sale SERVER PORT SHOP_ID:SECRET BACKEND_ID:SECRET ITEM FIRST_USER USERS
#
# vectors: checks the tables, examples and test vectors of the page, and prints TAP.
# sale: each user reserves one unit and pays it; prints "USER ORDER STATUS" for each, and at the end
# how many packets were sent, and how many that came were no answer.
use strict;
use warnings;
no warnings 'portable'; # numbers of 64 bits
use Digest::SHA 'hmac_sha256';
use IO::Select;
use IO::Socket::INET;
use Math::BigInt;
use Time::HiRes qw(time sleep);

my %ops = (RESERVE => 1, CONFIRM => 2, CANCEL => 3, QUERY => 4, STOCK => 5, EXTEND => 6, REFUND => 7, ORDERS => 8,
           WAIT => 9);
my %statuses = (RESERVED => 1, SOLD => 2, CANCELLED => 3, EXPIRED => 4, SOLD_OUT => 5, INSUFFICIENT => 6,
                USER_LIMIT => 7, BAD_QUANTITY => 8, NOT_OPEN => 9, CLOSED => 10, PAUSED => 11, UNKNOWN_ITEM => 12,
                UNKNOWN_ORDER => 13, CONFLICT => 14, DENIED => 15, BUSY => 16, FULL => 17, UNAVAILABLE => 18,
                ON_SALE => 19, USER_RATE => 20, USER_DENIED => 21, REFUNDED => 22, WAITING => 23, NOT_LEADER => 24,
                WRONG_SHARD => 25);
my %op_names = reverse %ops;
my %status_names = reverse %statuses;
my %undecided = map { $_ => 1 } qw(BUSY NOT_OPEN PAUSED UNAVAILABLE USER_RATE);
my $zero_id = "\0" x 16;

# ---- bytes ---------------------------------------------------------------------------------------

sub rotate {
    use integer; # 64 bits that wrap; a shift to the right copies the sign, so its bits are masked
    my ($x, $bits) = @_;
    return ($x << $bits) | (($x >> (64 - $bits)) & ((1 << $bits) - 1));
}

sub rounds {
    use integer;
    my ($v, $count) = @_;
    for (1 .. $count) {
        $v->[0] += $v->[1]; $v->[1] = rotate($v->[1], 13) ^ $v->[0]; $v->[0] = rotate($v->[0], 32);
        $v->[2] += $v->[3]; $v->[3] = rotate($v->[3], 16) ^ $v->[2];
        $v->[0] += $v->[3]; $v->[3] = rotate($v->[3], 21) ^ $v->[0];
        $v->[2] += $v->[1]; $v->[1] = rotate($v->[1], 17) ^ $v->[2]; $v->[2] = rotate($v->[2], 32);
    }
}

# The 8 bytes of the tag over 56 bytes.
sub tag {
    use integer;
    my ($secret, $bytes) = @_;
    my ($k0, $k1) = unpack 'q<2', $secret;
    my @v = ($k0 ^ 0x736f6d6570736575, $k1 ^ 0x646f72616e646f6d, $k0 ^ 0x6c7967656e657261, $k1 ^ 0x7465646279746573);
    for my $m (unpack('q<7', $bytes), 56 << 56) {
        $v[3] ^= $m;
        rounds(\@v, 2);
        $v[0] ^= $m;
    }
    $v[2] ^= 0xff;
    rounds(\@v, 4);
    return pack 'q<', $v[0] ^ $v[1] ^ $v[2] ^ $v[3];
}

sub request {
    my ($secret, %f) = @_;
    my $body = pack 'S< C C S< S< a16 Q< Q< Q< C x3 L<', 0x4746, 2, $ops{$f{op}}, $f{key_id}, $f{quantity} // 0,
        $f{order_id} // $zero_id, $f{user} // 0, $f{item} // 0, $f{until_ms} // 0, $f{flags} // 0, $f{cookie} // 0;
    return $body . tag($secret, $body);
}

# The fields of a reply, or nothing when it is none that this key signed.
sub reply {
    my ($secret, $key_id, $data) = @_;
    return if length $data != 64 || substr($data, 56) ne tag($secret, substr $data, 0, 56);
    my %f;
    (my ($magic, $version, $op), @f{qw(key_id quantity order_id deadline_ms item left retry_ms)}, my $status,
     @f{qw(flags shard_map cookie)}) = unpack 'S< C C S< S< a16 Q< Q< L< L< C C S< L<', $data;
    return if $magic != 0x4746 || $version != 2 || $f{key_id} != $key_id || $op < 0x80 || !$op_names{$op - 0x80};
    $f{op} = $op_names{$op - 0x80};
    $f{status} = $status_names{$status} // 'BUSY';
    $f{retry_ms} = 0 if !$status_names{$status};
    return \%f;
}

# Which order port of several a user's requests go to, and which shard of a fleet a user is of.
sub offset_of { return part_of(@_, '69bf14213c3cee38') }
sub shard_of { return part_of(@_, 'c2468a40efd8f5c6') }

sub part_of {
    my ($user, $ports, $factor) = @_;
    my $two64 = Math::BigInt->new(2)->bpow(64);
    my $p = Math::BigInt->new($user)->bxor(Math::BigInt->from_hex('9e3779b97f4a7c15'))
        ->bmul(Math::BigInt->from_hex($factor));
    my ($high, $low) = $p->copy->bdiv($two64);
    return $high->bxor($low)->bmul($ports)->bdiv($two64)->bstr;
}

# ---- a question until its answer ----------------------------------------------------------------

package Client {
    sub new {
        my ($class, $server, $port, $key) = @_;
        my ($id, $secret) = split /:/, $key;
        my $socket = IO::Socket::INET->new(PeerAddr => $server, PeerPort => $port, Proto => 'udp') or die "socket: $@\n";
        return bless {socket => $socket, id => $id, secret => pack('H*', $secret), sent => 0, ignored => 0,
                      cookie => int rand 2 ** 31}, $class;
    }

    # A reply to one of these transmissions before the time is over, or nothing.
    sub receive {
        my ($self, $f, $cookies, $until) = @_;
        while ((my $left = $until - main::time()) > 0) {
            next if !IO::Select->new($self->{socket})->can_read($left);
            next if !defined $self->{socket}->recv(my $data, 2048); # an ICMP error is a lost packet
            my $reply = main::reply($self->{secret}, $self->{id}, $data);
            return $reply if $reply && $reply->{op} eq $f->{op} && $cookies->{$reply->{cookie}}
                && ($f->{op} eq 'ORDERS' || $reply->{order_id} eq $f->{order_id});
            $self->{ignored}++;
        }
        return;
    }

    sub ask {
        my ($self, $patience, %f) = @_;
        my ($end, $wait, %cookies) = (main::time() + $patience, 0.2);
        $f{order_id} //= $zero_id;
        while (main::time() < $end) {
            my $cookie = $self->{cookie} = ($self->{cookie} + 1) % 2 ** 32;
            $cookies{$cookie} = 1;
            $self->{socket}->send(main::request($self->{secret}, %f, key_id => $self->{id}, cookie => $cookie));
            $self->{sent}++;
            my $reply = $self->receive(\%f, \%cookies, main::time() + $wait * (0.75 + rand 0.5));
            $wait = $wait * 2 > 2 ? 2 : $wait * 2;
            next if !$reply;
            return $reply if !$undecided{$reply->{status}};
            my $hint = $reply->{retry_ms} ? $reply->{retry_ms} / 1000 : $wait;
            return $reply if main::time() + $hint > $end;
            main::sleep($hint + rand($hint < 1 ? $hint : 1));
        }
        return;
    }
}

sub sale {
    my ($server, $port, $shop_key, $backend_key, $item, $first, $users) = @_;
    my ($shop, $backend) = map { Client->new($server, $port, $_) } $shop_key, $backend_key;
    for my $user ($first .. $first + $users - 1) {
        my %order = (user => $user, order_id => join '', map { chr int rand 256 } 1 .. 16);
        my $reply = $shop->ask(30, op => 'RESERVE', item => $item, quantity => 1, %order);
        $reply = $backend->ask(60, op => 'CONFIRM', %order) if $reply && $reply->{status} eq 'RESERVED';
        printf "%d %s %s\n", $user, unpack('H*', $order{order_id}), $reply ? $reply->{status} : '-';
    }
    printf "sent %d, ignored %d\n", $shop->{sent} + $backend->{sent}, $shop->{ignored} + $backend->{ignored};
}

# ---- the page against this program ---------------------------------------------------------------

my ($cases, $failed) = (0, 0);

sub check {
    my ($name, $got, $wanted) = @_;
    my $ok = $got eq $wanted;
    $failed += !$ok;
    printf "%sok %d - %s\n", $ok ? '' : 'not ', ++$cases, $name;
    print "# got    $got\n# wanted $wanted\n" if !$ok;
}

sub table_of {
    my %table = @_;
    return join ' ', map { "$_=$table{$_}" } sort keys %table;
}

# The first table behind a heading: name => number.
sub table_in {
    my ($page, $heading) = @_;
    my ($part) = $page =~ /\n## $heading\n(.*?)(?=\n## |\z)/s;
    my %table;
    $table{$2} //= $1 while $part =~ /^\| (\d+) \| (\w+) \|/mg;
    return table_of(%table);
}

sub check_packet {
    my ($kind, $words, $hex, $keys) = @_;
    my %f = map { split /=/, $_, 2 } split ' ', $words;
    my $secret = $keys->{$f{key_id}};
    my $name = "$kind $f{op} " . ($f{status} // '');
    $f{order_id} = pack 'H*', $f{order_id} if defined $f{order_id};
    return check($name, unpack('H*', request($secret, %f)), $hex) if $kind eq 'request';
    my $got = reply($secret, $f{key_id}, pack 'H*', $hex) or return check($name, 'no reply', 'a reply');
    $f{$_} //= 0 for keys %$got;
    check($name, table_of(%$got), table_of(%f));
    my $taken = grep { my $bad = pack 'H*', $hex; vec($bad, $_, 1) ^= 1; reply($secret, $f{key_id}, $bad) } 0 .. 511;
    check("$name, a bit changed", $taken, 0);
}

sub vectors {
    open my $file, '<', $_[0] or die "$_[0]: $!\n";
    local $/;
    my $page = <$file>;
    my (%keys, $packet);
    check('operations', table_of(%ops), table_in($page, 'Operations'));
    check('statuses', table_of(%statuses), table_in($page, 'Statuses'));
    $page =~ /have the tag 0x[0-9a-f]{16}: the bytes `([0-9a-f ]{23})`/;
    check('the tag', join(' ', unpack '(H2)*', tag(pack('C*', 0 .. 15), pack 'C*', 0 .. 55)), $1);
    $page =~ /With the secret `(.*?)` and the name\n`(.*?)` that is (\d+)/;
    check('a user by name', unpack('Q>', hmac_sha256($2, $1)), $3);
    for ($page =~ /\n```steering\n(.*?)\n```/s ? split /\n/, $1 : ()) {
        my ($user, $ports, $offset) = /^user=(\d+) ports=(\d+) offset=(\d+)$/ or die "$_\n";
        check("steering of $user", offset_of($user, $ports), $offset);
    }
    for ($page =~ /\n```shards\n(.*?)\n```/s ? split /\n/, $1 : ()) {
        my ($user, $shards, $shard) = /^user=(\d+) shards=(\d+) shard=(\d+)$/ or die "$_\n";
        check("shard of $user", shard_of($user, $shards), $shard);
    }
    for ($page =~ /\n```vectors\n(.*?)\n```/s ? split /\n/, $1 : ()) {
        if (/^key id=(\d+) .*secret=([0-9a-f]+)$/) { $keys{$1} = pack 'H*', $2 }
        elsif (/^(request|reply) (.*)$/) { $packet = [$1, $2] }
        elsif (/^[0-9a-f]{128}$/) { check_packet(@$packet, $_, \%keys) }
    }
    print "1..$cases\n";
    return $failed || $cases < 80;
}

my ($command, @arguments) = @ARGV;
exit vectors(@arguments) if ($command // '') eq 'vectors' && @arguments == 1;
die "usage: see the first lines of this program\n" if ($command // '') ne 'sale' || @arguments != 7;
sale(@arguments);

create format=vhd size=64M block=2M
be64 footer+68 0x0102030405060708
be64 footer+76 0x090a0b0c0d0e0f10
be64 copy+68 0x0102030405060708
be64 copy+76 0x090a0b0c0d0e0f10
sum footer
sum copy

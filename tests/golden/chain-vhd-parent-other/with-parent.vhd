create format=vhd size=64M block=2M
